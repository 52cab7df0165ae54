//! What is written is what is read, and nothing that is read can do harm.

use std::collections::BTreeMap;
use std::sync::Arc;

use openraft::impls::BasicNode;
use openraft::{EntryPayload, Membership};
use proptest::prelude::*;

use super::{Command, CommandOutcome, Payload, decode_payload};
use crate::log::EncodePayload;
use crate::types::{Condition, Entry, Operation, Transaction, TransactionOutcome};

fn some_bytes() -> impl Strategy<Value = bytes::Bytes> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(Into::into)
}

fn condition() -> impl Strategy<Value = Condition> {
    (some_bytes(), any::<u64>()).prop_map(|(key, revision)| Condition::ModRevision { key, revision })
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (some_bytes(), some_bytes()).prop_map(|(key, value)| Operation::Put { key, value }),
        some_bytes().prop_map(|key| Operation::Delete { key }),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let transaction = (prop::collection::vec(condition(), 0..4), prop::collection::vec(operation(), 0..4));
    prop_oneof![
        transaction.prop_map(|(conditions, operations)| {
            Command::Transact(Arc::new(Transaction { conditions, operations }))
        }),
        any::<u64>().prop_map(|revision| Command::Compact { revision }),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    (some_bytes(), some_bytes(), any::<[u64; 3]>()).prop_map(
        |(key, value, [create_revision, mod_revision, version])| Entry {
            key,
            value,
            create_revision,
            mod_revision,
            version,
        },
    )
}

fn outcome() -> impl Strategy<Value = CommandOutcome> {
    prop_oneof![
        Just(CommandOutcome::Done),
        any::<u64>().prop_map(|revision| CommandOutcome::Transaction(TransactionOutcome::Applied { revision })),
        (any::<u64>(), prop::collection::vec(prop::option::of(entry()), 0..3)).prop_map(|(revision, current)| {
            CommandOutcome::Transaction(TransactionOutcome::Conflict { revision, current })
        }),
    ]
}

fn round_trip(payload: &Payload) -> Payload {
    let mut bytes = Vec::new();
    payload.encode(&mut bytes);
    decode_payload(&bytes).expect("decodes")
}

proptest! {
    #[test]
    fn commands_and_outcomes_come_back_as_they_were(command in command(), outcome in outcome()) {
        prop_assert_eq!(round_trip(&EntryPayload::Normal(command.clone())), EntryPayload::Normal(command.clone()));
        let json = serde_json::to_vec(&(&command, &outcome)).unwrap();
        prop_assert_eq!(serde_json::from_slice::<(Command, CommandOutcome)>(&json).unwrap(), (command, outcome));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = decode_payload(&bytes);
    }

    #[test]
    fn a_command_that_is_cut_off_is_refused(command in command(), cut in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        EncodePayload::encode(&EntryPayload::Normal(command), &mut bytes);
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(decode_payload(&bytes).is_err());
    }
}

#[test]
fn memberships_and_blanks_come_back_as_they_were() {
    let node = BasicNode { addr: "10.0.0.1:7".to_owned() };
    let nodes = BTreeMap::from([(u64::MAX >> 11, node.clone()), (2, node)]);
    let membership = Membership::new(vec![[2].into()], nodes).expect("valid");
    for payload in [EntryPayload::Blank, EntryPayload::Membership(membership)] {
        assert_eq!(round_trip(&payload), payload);
    }
}
