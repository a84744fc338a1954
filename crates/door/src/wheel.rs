//! One timing wheel per shard, instead of a timer per connection.

use fanfare_core::Millis;

/// Length of a tick. Deadlines are met up to one tick late, never early.
pub(crate) const TICK_MS: u64 = 100;
const SLOTS: usize = 512;

/// Deadlines by tick. Adding and firing cost the same however many there are.
pub(crate) struct Wheel<T> {
    slots: Vec<Vec<(u64, T)>>,
    /// The next tick to fire.
    next: u64,
    len: usize,
}

impl<T> Wheel<T> {
    pub(crate) fn new(now: Millis) -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), next: now / TICK_MS, len: 0 }
    }

    /// Fires `what` at `at` or up to a tick later.
    pub(crate) fn add(&mut self, at: Millis, what: T) {
        let tick = at.div_ceil(TICK_MS).max(self.next);
        self.slots[tick as usize % SLOTS].push((tick, what));
        self.len += 1;
    }

    /// Moves everything that is due by `now` to `due`.
    pub(crate) fn fire(&mut self, now: Millis, due: &mut Vec<T>) {
        let last = now / TICK_MS;
        if last < self.next {
            return;
        }
        // After a long pause one round visits every slot.
        let first = self.next.max((last + 1).saturating_sub(SLOTS as u64));
        for tick in first..=last {
            let slot = &mut self.slots[tick as usize % SLOTS];
            let mut index = 0;
            while index < slot.len() {
                if slot[index].0 <= last {
                    due.push(slot.swap_remove(index).1);
                    self.len -= 1;
                } else {
                    index += 1;
                }
            }
            if slot.is_empty() && slot.capacity() > 64 {
                *slot = Vec::new();
            }
        }
        self.next = last + 1;
    }

    /// How long the shard may sleep: to the next tick when anything waits.
    pub(crate) fn sleep_ms(&self, now: Millis) -> Option<u64> {
        (self.len > 0).then(|| (self.next * TICK_MS).saturating_sub(now).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(wheel: &mut Wheel<u32>, now: Millis) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.fire(now, &mut due);
        due.sort_unstable();
        due
    }

    #[test]
    fn deadlines_fire_late_by_at_most_a_tick_and_never_early() {
        let mut wheel = Wheel::new(1_000);
        wheel.add(1_250, 1);
        wheel.add(1_300, 2);
        wheel.add(1_000, 3);
        assert_eq!(fired(&mut wheel, 1_099), [3]);
        assert!(fired(&mut wheel, 1_299).is_empty());
        assert_eq!(fired(&mut wheel, 1_300), [1, 2]);
        assert_eq!(wheel.sleep_ms(1_300), None);
    }

    #[test]
    fn deadlines_beyond_a_round_wait_for_theirs() {
        let mut wheel = Wheel::new(0);
        wheel.add(TICK_MS * (SLOTS as u64 + 5), 1);
        wheel.add(TICK_MS * 5, 2);
        assert_eq!(fired(&mut wheel, TICK_MS * 5), [2]);
        assert!(fired(&mut wheel, TICK_MS * (SLOTS as u64 + 4)).is_empty());
        assert_eq!(fired(&mut wheel, TICK_MS * (SLOTS as u64 + 5)), [1]);
    }

    #[test]
    fn a_long_pause_fires_everything_that_is_due() {
        let mut wheel = Wheel::new(0);
        for n in 0..2_000 {
            wheel.add(n * TICK_MS, n as u32);
        }
        assert_eq!(fired(&mut wheel, 1_500 * TICK_MS), (0..=1_500).collect::<Vec<_>>());
        assert_eq!(fired(&mut wheel, 2_000 * TICK_MS), (1_501..2_000).collect::<Vec<_>>());
    }
}
