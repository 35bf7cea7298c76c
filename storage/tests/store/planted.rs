//! A bug in the store itself: the check over what devices and readers were told must find it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use storage::inject::{Failure, Plan, Step};
use storage::store::Store;

use crate::ground::{Device, Ground, append, main_log, make, on_both_engines, on_packed_entries, open, person};
use crate::history::{self, Fault, Operation, What};
use crate::ids;

on_both_engines! {
    an_append_that_is_acknowledged_without_its_commit_fits_no_order
}

on_packed_entries! {
    an_append_that_is_acknowledged_without_its_commit_fits_no_order
}

const DEVICES: u8 = 4;
const EACH: u64 = 24;

/// Has devices append and readers read at once; returns what each was told, and when. Before its `planted`-th entry the first device plants the bug,
/// which whoever commits next meets.
async fn told(store: &Arc<Store>, plan: &Plan, planted: Option<u64>) -> Vec<Operation> {
    let (clock, appending) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(true)));
    let (mut devices, mut readers) = (tokio::task::JoinSet::new(), tokio::task::JoinSet::new());
    for number in 1..=DEVICES {
        let (store, plan, clock) = (store.clone(), plan.clone(), clock.clone());
        devices.spawn(async move {
            let (mut device, mut history) = (Device::new(number, person(number), main_log()), Vec::new());
            for lsn in 0..EACH {
                if number == 1 && planted == Some(lsn) {
                    plan.fail_next(Step::Append, Failure::ToldKept);
                }
                let (entry, began) = (device.next(&[number]), clock.fetch_add(1, Ordering::SeqCst));
                match store.append(append(&[entry])).await {
                    Ok(appended) => {
                        let what = What::Appended { id: (number, lsn), pos: appended.placed[0].pos };
                        history.push(Operation { began, ended: clock.fetch_add(1, Ordering::SeqCst), what });
                    }
                    // What it was told is there is not: it cannot go on.
                    Err(refusal) => {
                        assert!(planted.is_some() && refusal.code() == "lsn_gap", "{refusal}");
                        break;
                    }
                }
            }
            history
        });
    }
    for _ in 0..2 {
        let (store, clock, appending) = (store.clone(), clock.clone(), appending.clone());
        readers.spawn(async move {
            let mut history = Vec::new();
            while appending.load(Ordering::SeqCst) {
                let began = clock.fetch_add(1, Ordering::SeqCst);
                let what = What::Read { entries: ids(&store).await.unwrap() };
                history.push(Operation { began, ended: clock.fetch_add(1, Ordering::SeqCst), what });
            }
            history
        });
    }
    let mut history = devices.join_all().await.concat();
    appending.store(false, Ordering::SeqCst);
    history.extend(readers.join_all().await.concat());
    history
}

async fn an_append_that_is_acknowledged_without_its_commit_fits_no_order(ground: &Ground) {
    // Goal: the check sees what a store does that lies, and nothing where it does not. Method: the same life without the bug, and with it at the first
    // entry, amid them and at the last, behind which nothing of the device comes that could show it.
    for planted in [None, Some(0), Some(EACH / 2), Some(EACH - 1)] {
        let (plan, fresh) = (Plan::default(), ground.anew().await);
        let store = Arc::new(open(&fresh, &plan, 1 << 30).await);
        make(&store, &(1..=DEVICES).map(person).collect::<Vec<_>>()).await;
        let history = told(&store, &plan, planted).await;
        assert_eq!(plan.forget(), 0, "somebody met it");
        let log = ids(&store).await.unwrap();
        let found = history::check(&history, &log);
        match planted {
            None => assert_eq!((found, log.len() as u64), (Ok(()), u64::from(DEVICES) * EACH)),
            Some(at) => assert!(matches!(found, Err(Fault::Lost(_))), "planted at {at}: {found:?}"),
        }
    }
}
