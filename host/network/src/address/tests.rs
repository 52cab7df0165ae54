use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

#[test]
fn a_block_is_checked() {
    assert!(AddressBlock::new(Ipv4Addr::new(100, 64, 0, 0), 16).is_ok());
    assert!(AddressBlock::new(Ipv4Addr::new(100, 127, 255, 252), 30).is_ok());
    assert_eq!(AddressBlock::new(Ipv4Addr::new(100, 64, 0, 0), 31), Err(AddressBlockError::Prefix(31)));
    assert_eq!(AddressBlock::new(Ipv4Addr::new(100, 64, 0, 0), 8), Err(AddressBlockError::Prefix(8)));
    let outside = AddressBlock::new(Ipv4Addr::new(10, 0, 0, 0), 16).unwrap_err();
    assert_eq!(outside.to_string(), "the address block 10.0.0.0/16 must lie inside 100.64.0.0/10");
    assert!(matches!(AddressBlock::new(Ipv4Addr::new(100, 64, 0, 1), 16), Err(AddressBlockError::Unaligned(_, 16))));
    assert_eq!(AddressBlock::DEFAULT.to_string(), "100.64.0.0/16");
}

#[test]
fn a_small_block_is_used_up_and_rests() {
    let block = AddressBlock::new(Ipv4Addr::new(100, 64, 0, 0), 29).unwrap();
    let mut pool = AddressPool::new(vec![block], Duration::from_secs(60));
    let start = Instant::now();
    assert_eq!(pool.host(), Ipv4Addr::new(100, 64, 0, 1));
    let taken: Vec<_> = std::iter::from_fn(|| pool.take(start)).collect();
    let expected: Vec<_> = (2..=6).map(|last| Ipv4Addr::new(100, 64, 0, last)).collect();
    assert_eq!(taken, expected, "neither the network's name, the host, nor the last address");
    pool.release(taken[3], start);
    pool.release(taken[0], start + Duration::from_secs(1));
    assert_eq!(pool.take(start + Duration::from_secs(59)), None);
    assert_eq!(pool.take(start + Duration::from_secs(60)), Some(taken[3]));
    assert_eq!(pool.take(start + Duration::from_secs(60)), None);
    assert_eq!(pool.take(start + Duration::from_secs(61)), Some(taken[0]));
}

#[test]
fn a_second_block_follows_the_first() {
    let blocks = [0u8, 64].map(|third| AddressBlock::new(Ipv4Addr::new(100, 64, third, 0), 30).unwrap());
    let mut pool = AddressPool::new(blocks.to_vec(), Duration::ZERO);
    let taken: Vec<_> = std::iter::from_fn(|| pool.take(Instant::now())).collect();
    assert_eq!(taken, [Ipv4Addr::new(100, 64, 0, 2), Ipv4Addr::new(100, 64, 64, 1), Ipv4Addr::new(100, 64, 64, 2)]);
}

proptest! {
    #[test]
    fn no_address_is_taken_twice_or_before_its_rest(steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>(), 0u64..40), 1..200)) {
        let block = AddressBlock::new(Ipv4Addr::new(100, 64, 0, 0), 28).unwrap();
        let rest = Duration::from_secs(60);
        let mut pool = AddressPool::new(vec![block], rest);
        let mut now = Instant::now();
        let mut held: Vec<Ipv4Addr> = Vec::new();
        let mut released: Vec<(Ipv4Addr, Instant)> = Vec::new();
        for (take, index, seconds) in steps {
            now += Duration::from_secs(seconds);
            if take {
                if let Some(address) = pool.take(now) {
                    prop_assert!(block.contains(address));
                    prop_assert!(!held.contains(&address));
                    let last = released.iter().rev().find(|(other, _)| *other == address);
                    prop_assert!(last.is_none_or(|(_, at)| now.duration_since(*at) >= rest));
                    held.push(address);
                }
            } else if !held.is_empty() {
                let address = held.swap_remove(index.index(held.len()));
                pool.release(address, now);
                released.push((address, now));
            }
            prop_assert_eq!(pool.taken(), held.len());
            prop_assert_eq!(held.iter().collect::<HashSet<_>>().len(), held.len());
        }
    }
}
