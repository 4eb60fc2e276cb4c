//! How many connections each address has: one that is at its bound gets no more.

use crate::proto::AddressGroup;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The connections of every address. Invariant: an address without connections takes no memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<BTreeMap<AddressGroup, usize>>>);

/// A connection's place; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    group: Option<AddressGroup>,
}

impl Places {
    /// A place for a connection from `ip`; none if its address has as many as it may. This machine's own are not
    /// counted.
    pub(super) fn take(&self, ip: IpAddr, per_address_max: usize) -> Option<Place> {
        let group = AddressGroup::of(ip);
        if let Some(group) = group {
            let mut counts = self.0.lock();
            let count = counts.entry(group).or_default();
            if *count >= per_address_max {
                return None;
            }
            *count += 1;
        }
        let places = self.clone();
        Some(Place { places, group })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(group) = self.group else { return };
        let mut counts = self.places.0.lock();
        if let Some(count) = counts.get_mut(&group) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let places = Places::default();
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let taken: Vec<_> = (0..3).map(|_| places.take(ip("192.0.2.1"), 3)).collect();
        assert!(taken.iter().all(Option::is_some));
        assert!(places.take(ip("192.0.2.1"), 3).is_none());
        assert!(
            places.take(ip("::ffff:192.0.2.1"), 3).is_none(),
            "the same address"
        );
        let _other = places.take(ip("192.0.2.2"), 3).expect("its own places");
        let here: Vec<_> = (0..9).filter_map(|_| places.take(ip("127.0.0.1"), 3)).collect();
        assert_eq!(here.len(), 9);
        drop(taken);
        assert_eq!(places.0.lock().len(), 1);
        assert!(places.take(ip("192.0.2.1"), 3).is_some());
    }
}
