//! Numbers.
/// Page of an epoch.
pub fn page_of(epoch: u64) -> u64 {
    epoch
}
