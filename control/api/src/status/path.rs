//! The path of a field in an object, as validation messages print it: `spec.containers[0].ports[1].hostPort`.

use std::fmt;

/// A path that borrows its parent, so that walking an object costs nothing until an error is made of it.
///
/// ```
/// use coracle_control_api::status::FieldPath;
/// let spec = FieldPath::root("spec");
/// assert_eq!(spec.child("containers").index(0).child("name").to_string(), "spec.containers[0].name");
/// assert_eq!(spec.child("limits").key("cpu").to_string(), "spec.limits[cpu]");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FieldPath<'a> {
    parent: Option<&'a FieldPath<'a>>,
    segment: Segment<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Segment<'a> {
    /// Before the first field; printed as `<nil>` when it stands alone.
    Nothing,
    Name(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> FieldPath<'a> {
    /// A path of one field of the object.
    #[must_use]
    pub fn root(name: &'a str) -> Self {
        Self { parent: None, segment: Segment::Name(name) }
    }

    /// The object itself; alone it is printed as `<nil>`.
    #[must_use]
    pub fn empty() -> Self {
        Self { parent: None, segment: Segment::Nothing }
    }

    /// A field of this one. Dots in `name` are kept, so `child("a.b")` is a short form of two steps.
    #[must_use]
    pub fn child(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), segment: Segment::Name(name) }
    }

    /// An item of this list.
    #[must_use]
    pub fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), segment: Segment::Index(index) }
    }

    /// An entry of this map.
    #[must_use]
    pub fn key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), segment: Segment::Key(key) }
    }

    fn write(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.write(formatter)?;
        }
        match self.segment {
            Segment::Nothing => Ok(()),
            Segment::Name(name) => {
                let first = self.parent.is_none_or(|parent| matches!(parent.segment, Segment::Nothing));
                if !first {
                    formatter.write_str(".")?;
                }
                formatter.write_str(name)
            }
            Segment::Index(index) => write!(formatter, "[{index}]"),
            Segment::Key(key) => write!(formatter, "[{key}]"),
        }
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self.segment, Segment::Nothing) {
            return formatter.write_str("<nil>");
        }
        self.write(formatter)
    }
}

impl From<FieldPath<'_>> for String {
    fn from(path: FieldPath<'_>) -> Self {
        path.to_string()
    }
}

impl From<&FieldPath<'_>> for String {
    fn from(path: &FieldPath<'_>) -> Self {
        path.to_string()
    }
}
