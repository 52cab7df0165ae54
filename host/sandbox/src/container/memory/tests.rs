use super::{MemoryBudget, OutOfMemory, readable};
use futures::FutureExt as _;
use proptest::prelude::*;
use std::sync::Arc;
use wasmtime::ResourceLimiter as _;

const PAGE: usize = 65_536;

fn budget(pages: u64) -> Arc<MemoryBudget> {
    Arc::new(MemoryBudget::new(Some(pages * 65_536)))
}

#[test]
fn an_account_gives_everything_back() {
    let budget = budget(10);
    let mut account = budget.account();
    assert!(account.memory_growing(0, 3 * PAGE, None).unwrap());
    assert!(account.table_growing(0, 100, None).unwrap());
    assert_eq!(budget.used(), 3 * 65_536 + 800);
    drop(account);
    assert_eq!((budget.used(), budget.peak()), (0, 3 * 65_536 + 800));
}

#[test]
fn a_growth_that_fails_after_all_is_not_charged() {
    let budget = budget(10);
    let mut account = budget.account();
    assert!(account.memory_growing(0, 3 * PAGE, None).unwrap());
    assert!(account.memory_growing(3 * PAGE, 5 * PAGE, None).unwrap());
    account.memory_grow_failed(wasmtime::Error::msg("no slot")).unwrap();
    // What was taken stays with the account, to be used by the next growth.
    assert!(account.memory_growing(3 * PAGE, 10 * PAGE, None).unwrap());
    assert_eq!(budget.used(), 10 * 65_536);
}

#[test]
fn who_would_not_fit_alone_is_told_apart_from_who_came_late() {
    let budget = budget(10);
    let mut first = budget.account();
    let mut second = budget.account();
    assert!(first.memory_growing(0, 6 * PAGE, None).unwrap());
    let crowded = second.memory_growing(0, 5 * PAGE, None).unwrap_err();
    assert!(!crowded.downcast_ref::<OutOfMemory>().unwrap().alone);
    let alone = second.memory_growing(0, 11 * PAGE, None).unwrap_err();
    assert!(alone.downcast_ref::<OutOfMemory>().unwrap().alone);
    assert_eq!(budget.used(), 6 * 65_536);
}

#[test]
fn an_account_opens_when_there_is_room_for_it() {
    let budget = budget(10);
    let mut first = budget.open_account(4 * 65_536).now_or_never().unwrap();
    assert!(first.memory_growing(0, 4 * PAGE, None).unwrap());
    assert_eq!(budget.used(), 4 * 65_536);
    let mut waiting = Box::pin(budget.open_account(7 * 65_536));
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(first);
    let mut second = waiting.now_or_never().unwrap();
    assert!(second.memory_growing(0, 10 * PAGE, None).unwrap());
    assert_eq!(budget.used(), 10 * 65_536);
}

#[test]
fn who_is_alone_gets_an_account_whatever_it_needs() {
    let budget = budget(1);
    let mut account = budget.open_account(2 * 65_536).now_or_never().unwrap();
    let error = account.memory_growing(0, 2 * PAGE, None).unwrap_err();
    assert!(error.downcast_ref::<OutOfMemory>().unwrap().alone);
}

#[test]
fn sizes_are_readable() {
    let texts: Vec<String> = [7, 1024, 1 << 20, 19_989_008, 3 << 30].into_iter().map(readable).collect();
    assert_eq!(texts, ["7 bytes", "1 KiB", "1 MiB", "19.0 MiB", "3 GiB"]);
}

proptest! {
    /// Whatever instances do, the budget holds and ends at zero.
    #[test]
    fn the_sum_of_all_accounts_never_passes_the_limit(steps in prop::collection::vec((0_usize..4, 0_usize..8, any::<bool>()), 1..60)) {
        let budget = budget(12);
        let mut accounts: Vec<_> = (0..4).map(|_| (budget.account(), 0)).collect();
        for (index, pages, fails) in steps {
            if pages == 0 {
                accounts[index] = (budget.account(), 0);
                continue;
            }
            let (account, size) = &mut accounts[index];
            if account.memory_growing(*size * PAGE, (*size + pages) * PAGE, None).is_ok() {
                if fails {
                    account.memory_grow_failed(wasmtime::Error::msg("no slot")).unwrap();
                } else {
                    *size += pages;
                }
            }
            let held: usize = accounts.iter().map(|(_, size)| size).sum();
            prop_assert!(budget.used() >= held as u64 * 65_536);
            prop_assert!(budget.used() <= 12 * 65_536);
        }
        drop(accounts);
        prop_assert_eq!(budget.used(), 0);
    }
}
