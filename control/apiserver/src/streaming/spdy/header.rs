//! Header blocks: names and values, compressed with one zlib stream per direction of a connection.

use std::sync::LazyLock;

use bytes::{Buf as _, BufMut as _};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::frame::SpdyError;

/// The most bytes that a header block may have when it is not compressed.
const BLOCK_BYTES_MAX: usize = 64 * 1024;
/// The most headers of a block.
const HEADERS_MAX: usize = 256;
/// The room for what is decompressed or compressed at a time.
const STEP_BYTES: usize = 4096;

/// Header names and values, in the order in which they came. Several values of a name are parted by a NUL.
pub(super) type Headers = Vec<(String, String)>;

/// What both sides know before the first block: words with their lengths, then frequent values.
static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut dictionary = Vec::new();
    for word in WORDS.split('|') {
        put_text(&mut dictionary, word);
    }
    dictionary.extend_from_slice(VALUES.as_bytes());
    dictionary
});

/// The words of the dictionary of SPDY/3, section 2.6.10.1.
const WORDS: &str = "options|head|post|put|delete|trace|accept|accept-charset|accept-encoding|accept-language|\
accept-ranges|age|allow|authorization|cache-control|connection|content-base|content-encoding|content-language|\
content-length|content-location|content-md5|content-range|content-type|date|etag|expect|expires|from|host|if-match|\
if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|location|max-forwards|pragma|\
proxy-authenticate|proxy-authorization|range|referer|retry-after|server|te|trailer|transfer-encoding|upgrade|\
user-agent|vary|via|warning|www-authenticate|method|get|status|200 OK|version|HTTP/1.1|url|public|set-cookie|\
keep-alive|origin";

/// The values that follow them.
const VALUES: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden\
404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept \
Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,\
application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch\
charset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

fn put_text(out: &mut Vec<u8>, text: &str) {
    // Texts here are short; a longer one would be cut by the receiver's bounds anyway.
    out.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(text.as_bytes());
}

/// Compresses the blocks of one direction, in the order in which they are sent.
pub(super) struct HeaderEncoder(Compress);

impl HeaderEncoder {
    pub(super) fn new() -> Result<Self, SpdyError> {
        let mut compress = Compress::new(Compression::fast(), true);
        compress.set_dictionary(&DICTIONARY).map_err(|_| SpdyError::Compression)?;
        Ok(Self(compress))
    }

    pub(super) fn encode(&mut self, headers: &Headers) -> Result<Vec<u8>, SpdyError> {
        let mut block = Vec::new();
        block.put_u32(u32::try_from(headers.len()).unwrap_or(u32::MAX));
        for (name, value) in headers {
            put_text(&mut block, name);
            put_text(&mut block, value);
        }
        let mut out = Vec::new();
        let before = self.0.total_in();
        loop {
            let taken = usize::try_from(self.0.total_in() - before).unwrap_or(usize::MAX);
            let rest = block.get(taken..).unwrap_or_default();
            out.reserve(STEP_BYTES);
            let room = out.capacity() - out.len();
            let written = out.len();
            self.0.compress_vec(rest, &mut out, FlushCompress::Sync).map_err(|_| SpdyError::Compression)?;
            // A flush is complete when it leaves room.
            if rest.len() <= STEP_BYTES && out.len() - written < room {
                return Ok(out);
            }
        }
    }
}

/// Decompresses the blocks of one direction, in the order in which they come.
pub(super) struct HeaderDecoder(Decompress);

impl HeaderDecoder {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    pub(super) fn decode(&mut self, compressed: &[u8]) -> Result<Headers, SpdyError> {
        parse(&self.inflate(compressed)?)
    }

    fn inflate(&mut self, compressed: &[u8]) -> Result<Vec<u8>, SpdyError> {
        let mut block = Vec::new();
        let before = self.0.total_in();
        loop {
            let taken = usize::try_from(self.0.total_in() - before).unwrap_or(usize::MAX);
            let rest = compressed.get(taken..).unwrap_or_default();
            block.reserve(STEP_BYTES);
            let (length, total_in) = (block.len(), self.0.total_in());
            match self.0.decompress_vec(rest, &mut block, FlushDecompress::Sync) {
                Ok(Status::Ok | Status::BufError) => {}
                Ok(Status::StreamEnd) => return Err(SpdyError::Compression),
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&DICTIONARY).map_err(|_| SpdyError::Compression)?;
                    continue;
                }
                Err(_) => return Err(SpdyError::Compression),
            }
            if block.len() > BLOCK_BYTES_MAX {
                return Err(SpdyError::TooLarge);
            }
            if block.len() == length && self.0.total_in() == total_in {
                return Ok(block);
            }
        }
    }
}

fn parse(mut block: &[u8]) -> Result<Headers, SpdyError> {
    let count = take_length(&mut block)?;
    if count > HEADERS_MAX {
        return Err(SpdyError::TooLarge);
    }
    let mut headers = Headers::with_capacity(count);
    for _ in 0..count {
        let name = take_text(&mut block)?;
        headers.push((name.to_ascii_lowercase(), take_text(&mut block)?));
    }
    Ok(headers)
}

fn take_length(block: &mut &[u8]) -> Result<usize, SpdyError> {
    if block.len() < 4 {
        return Err(SpdyError::Malformed);
    }
    usize::try_from(block.get_u32()).map_err(|_| SpdyError::TooLarge)
}

fn take_text(block: &mut &[u8]) -> Result<String, SpdyError> {
    let length = take_length(block)?;
    if length > block.len() {
        return Err(SpdyError::Malformed);
    }
    let (text, rest) = block.split_at(length);
    *block = rest;
    Ok(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests;
