//! Counting without a lock on the way of a message, and summing when somebody looks.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{Equivalent, HashMap};
use parking_lot::Mutex;

use crate::tally::Tally;

/// Most rows of one meter. Space names may come from peers, also from those that are refused;
/// beyond this many their counts go to the row of [`OTHER_SPACE`].
pub const METER_ROWS_MAX: usize = 16_384;

/// Longest name of a space that can exist; longer ones were made up as well.
const SPACE_BYTES_MAX: usize = 128;

/// The space under which counts stand that have no row of their own.
pub const OTHER_SPACE: &str = "other";

/// Sums over all threads by space and door.
pub type Totals = BTreeMap<(Arc<str>, &'static str), Tally>;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
type Key = (Arc<str>, &'static str);

/// One thread's counts, a row for each space and door. Owned by the thread; no lock.
#[derive(Debug, Default)]
pub struct Meter {
    rows: Vec<Row>,
    places: Map<Key, u32>,
    /// The row that was asked for last: messages come in runs of one space and door.
    last: usize,
    /// Rows that were asked for since they were posted last.
    changed: RefCell<Vec<u32>>,
}

#[derive(Debug)]
struct Row {
    space: Arc<str>,
    door: &'static str,
    tally: Tally,
    is_changed: Cell<bool>,
}

impl Meter {
    /// Has counted nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Something was counted since the last post.
    pub fn is_changed(&self) -> bool {
        !self.changed.borrow().is_empty()
    }

    /// The row of a space and door, to count into.
    pub fn row(&mut self, space: &Arc<str>, door: &'static str) -> &mut Tally {
        if !self.rows.get(self.last).is_some_and(|row| row.is_of(space, door)) {
            self.last = self.place(space, door);
        }
        let row = &mut self.rows[self.last];
        if !row.is_changed.replace(true) {
            self.changed.get_mut().push(self.last as u32);
        }
        &mut row.tally
    }

    fn place(&mut self, space: &Arc<str>, door: &'static str) -> usize {
        if let Some(place) = self.places.get(&KeyRef(space, door)) {
            return *place as usize;
        }
        // The rows beyond the bound are those of the other space, one per door.
        let is_beyond = self.rows.len() >= METER_ROWS_MAX || space.len() > SPACE_BYTES_MAX;
        if is_beyond && &**space != OTHER_SPACE {
            return self.place(&OTHER_SPACE.into(), door);
        }
        let place = self.rows.len();
        self.places.insert((space.clone(), door), place as u32);
        self.rows.push(Row { space: space.clone(), door, tally: Tally::default(), is_changed: Cell::new(false) });
        place
    }
}

/// A key to look up by. Cloning the shared name of a busy space would make all threads write to
/// one count of references.
#[derive(Hash)]
struct KeyRef<'a>(&'a str, &'static str);

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.0 == *key.0 && self.1 == key.1
    }
}

impl Row {
    fn is_of(&self, space: &Arc<str>, door: &'static str) -> bool {
        (std::ptr::eq(self.door, door) || self.door == door)
            && (Arc::ptr_eq(&self.space, space) || self.space == *space)
    }
}

/// Where threads publish their counts. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct MeterBook {
    pages: Arc<Mutex<Pages>>,
}

#[derive(Debug, Default)]
struct Pages {
    open: Vec<Arc<Mutex<Map<Key, Tally>>>>,
    /// What desks had counted that are gone.
    closed: Map<Key, Tally>,
}

impl MeterBook {
    /// An empty book.
    pub fn new() -> Self {
        Self::default()
    }

    /// A desk for one thread and its one meter.
    pub fn desk(&self) -> MeterDesk {
        let page = Arc::new(Mutex::default());
        self.pages.lock().open.push(Arc::clone(&page));
        MeterDesk { page, book: self.clone() }
    }

    /// What all threads have posted so far. Costs by the number of rows; for scrapes and reports.
    pub fn totals(&self) -> Totals {
        let pages = self.pages.lock();
        let mut totals = Totals::new();
        merge(&mut totals, &pages.closed);
        for page in &pages.open {
            merge(&mut totals, &page.lock());
        }
        totals
    }
}

fn merge(totals: &mut Totals, page: &Map<Key, Tally>) {
    for (key, tally) in page {
        match totals.get_mut(key) {
            Some(total) => total.add(tally),
            None => drop(totals.insert(key.clone(), tally.clone())),
        }
    }
}

/// Where one thread posts its one meter. What was posted stays counted when the desk is gone.
#[derive(Debug)]
pub struct MeterDesk {
    page: Arc<Mutex<Map<Key, Tally>>>,
    book: MeterBook,
}

impl MeterDesk {
    /// Copies the rows that have changed since the last call. Costs by their number; nothing
    /// changed costs nothing.
    pub fn post(&self, meter: &Meter) {
        let mut changed = meter.changed.borrow_mut();
        if changed.is_empty() {
            return;
        }
        let mut page = self.page.lock();
        for place in changed.drain(..) {
            let row = &meter.rows[place as usize];
            row.is_changed.set(false);
            match page.get_mut(&KeyRef(&row.space, row.door)) {
                Some(tally) => tally.clone_from(&row.tally),
                None => drop(page.insert((row.space.clone(), row.door), row.tally.clone())),
            }
        }
    }
}

impl Drop for MeterDesk {
    fn drop(&mut self) {
        let mut pages = self.book.pages.lock();
        pages.open.retain(|page| !Arc::ptr_eq(page, &self.page));
        for (key, tally) in self.page.lock().drain() {
            pages.closed.entry(key).or_default().add(&tally);
        }
    }
}

/// A meter for tasks, which move between threads. Cloning shares it.
#[derive(Clone, Debug)]
pub struct SharedMeter {
    inner: Arc<Mutex<(Meter, MeterDesk)>>,
}

impl SharedMeter {
    /// An empty meter with a desk of its own.
    pub fn new(book: &MeterBook) -> Self {
        Self { inner: Arc::new(Mutex::new((Meter::new(), book.desk()))) }
    }

    /// Counts into the row of a space and door. Held for the time of `count`, which must be short.
    pub fn row<R>(&self, space: &Arc<str>, door: &'static str, count: impl FnOnce(&mut Tally) -> R) -> R {
        count(self.inner.lock().0.row(space, door))
    }

    /// Posts what has changed; to be called as often as shards post theirs.
    pub fn post(&self) {
        let inner = self.inner.lock();
        inner.1.post(&inner.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(space: &str, door: &'static str) -> Key {
        (space.into(), door)
    }

    #[test]
    fn threads_count_alone_and_are_summed_on_read() {
        let book = MeterBook::new();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let book = book.clone();
                std::thread::spawn(move || {
                    let (desk, mut meter) = (book.desk(), Meter::new());
                    let spaces: [Arc<str>; 2] = ["a".into(), "b".into()];
                    for round in 0..1_000 {
                        meter.row(&spaces[round % 2], "native").published(10);
                        meter.row(&spaces[0], "mqtt").delivered(10, 3);
                        if round % 100 == 0 {
                            desk.post(&meter);
                        }
                    }
                    desk.post(&meter);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let totals = book.totals();
        assert_eq!(totals.len(), 3);
        assert_eq!(totals[&key("a", "native")].messages_in, 2_000);
        assert_eq!(totals[&key("b", "native")].messages_in, 2_000);
        assert_eq!(totals[&key("a", "mqtt")].messages_out, 12_000);
    }

    #[test]
    fn posting_twice_counts_once() {
        let book = MeterBook::new();
        let (desk, mut meter) = (book.desk(), Meter::new());
        meter.row(&"a".into(), "native").opened();
        desk.post(&meter);
        desk.post(&meter);
        assert_eq!(book.totals()[&key("a", "native")].connections_opened, 1);
        meter.row(&"a".into(), "native").closed(5);
        assert_eq!(book.totals()[&key("a", "native")].connections_closed, 0, "not posted yet");
        desk.post(&meter);
        assert_eq!(book.totals()[&key("a", "native")].connections_closed, 1);
    }

    #[test]
    fn the_same_space_in_another_allocation_is_the_same_row() {
        let mut meter = Meter::new();
        meter.row(&"a".into(), "native").operations += 1;
        meter.row(&"b".into(), "native").operations += 1;
        meter.row(&"a".into(), "native").operations += 1;
        assert_eq!(meter.row(&"a".into(), "native").operations, 2);
    }

    #[test]
    fn made_up_space_names_do_not_grow_a_meter_without_end() {
        let mut meter = Meter::new();
        for n in 0..METER_ROWS_MAX + 500 {
            meter.row(&format!("s{n}").into(), "native").refused += 1;
        }
        meter.row(&"late".into(), "mqtt").refused += 1;
        assert_eq!(meter.rows.len(), METER_ROWS_MAX + 2);
        let mut long_names = Meter::new();
        long_names.row(&"x".repeat(129).into(), "mqtt").refused += 1;
        assert_eq!(long_names.row(&OTHER_SPACE.into(), "mqtt").refused, 1);
        assert_eq!(meter.row(&OTHER_SPACE.into(), "native").refused, 500);
        assert_eq!(meter.row(&"s7".into(), "native").refused, 1);
    }

    #[test]
    fn tasks_share_a_meter() {
        let book = MeterBook::new();
        let meter = SharedMeter::new(&book);
        let space: Arc<str> = "a".into();
        meter.clone().row(&space, "native", |tally| tally.published(1));
        meter.row(&space, "native", |tally| tally.published(1));
        meter.post();
        assert_eq!(book.totals()[&key("a", "native")].messages_in, 2);
    }
}
