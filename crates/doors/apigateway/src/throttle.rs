//! How many requests are let through: by API, stage, route, key and address.

use std::net::IpAddr;

use fanfare_apigateway::model::{ApiKey, Options, Period, Stage, Throttle};
use fanfare_core::Millis;
use hashbrown::HashMap;
use parking_lot::Mutex;

/// Addresses whose refusals are remembered; of more, none is.
const ADDRESSES_MAX: usize = 100_000;
const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// A token bucket. AWS allows fractions of requests a second.
#[derive(Debug)]
struct Bucket {
    throttle: Throttle,
    left: f64,
    filled_at: Millis,
}

impl Bucket {
    fn full(throttle: Throttle, now: Millis) -> Self {
        Self { throttle, left: f64::from(throttle.burst.max(1)), filled_at: now }
    }

    fn refill(&mut self, now: Millis) {
        let passed = now.saturating_sub(self.filled_at) as f64 / 1_000.0;
        self.left = (self.left + passed * self.throttle.rate).min(f64::from(self.throttle.burst.max(1)));
        self.filled_at = now;
    }

    fn take(&mut self, now: Millis) -> bool {
        self.refill(now);
        let has_one = self.left >= 1.0;
        if has_one {
            self.left -= 1.0;
        }
        has_one
    }
}

/// A bucket that may be missing, which lets everything through.
#[derive(Debug, Default)]
struct Gate(Option<Mutex<Bucket>>);

impl Gate {
    fn new(throttle: Option<Throttle>, now: Millis) -> Self {
        Self(throttle.map(|throttle| Mutex::new(Bucket::full(throttle, now))))
    }

    fn take(&self, now: Millis) -> bool {
        self.0.as_ref().is_none_or(|bucket| bucket.lock().take(now))
    }
}

fn per_second(rate: u32, burst: u32) -> Option<Throttle> {
    (rate > 0).then(|| Throttle { rate: f64::from(rate), burst: burst.max(1) })
}

/// What counts for all stages of an API.
#[derive(Debug)]
pub(crate) struct ApiThrottle {
    connects: Gate,
    requests: Gate,
    refusals_rate: u32,
    refusals: Mutex<HashMap<IpAddr, Bucket, foldhash::fast::RandomState>>,
    keys: Vec<KeyThrottle>,
}

impl ApiThrottle {
    pub(crate) fn new(options: &Options, keys: &[ApiKey], now: Millis) -> Self {
        Self {
            connects: Gate::new(per_second(options.connects_per_second, options.connects_per_second), now),
            requests: Gate::new(per_second(options.requests_per_second, options.requests_burst), now),
            refusals_rate: options.refusals_per_second,
            refusals: Mutex::default(),
            keys: keys.iter().map(|key| KeyThrottle::new(key, now)).collect(),
        }
    }

    /// One more connection, if the rate allows it.
    pub(crate) fn connect(&self, now: Millis) -> bool {
        self.connects.take(now)
    }

    /// One more request of any kind.
    pub(crate) fn request(&self, now: Millis) -> bool {
        self.requests.take(now)
    }

    /// One more request with the API key of this number.
    pub(crate) fn key(&self, key: usize, now: Millis) -> bool {
        self.keys.get(key).is_none_or(|key| key.take(now))
    }

    /// Whether an address was refused so often that it is not listened to for now.
    pub(crate) fn is_refused_too_often(&self, address: IpAddr, now: Millis) -> bool {
        let mut refusals = self.refusals.lock();
        refusals.get_mut(&address).is_some_and(|bucket| {
            bucket.refill(now);
            bucket.left < 1.0
        })
    }

    /// An upgrade of this address was refused.
    pub(crate) fn refused(&self, address: IpAddr, now: Millis) {
        let Some(throttle) = per_second(self.refusals_rate, self.refusals_rate) else { return };
        let mut refusals = self.refusals.lock();
        if refusals.len() >= ADDRESSES_MAX {
            refusals.retain(|_, bucket| {
                bucket.refill(now);
                bucket.left < f64::from(bucket.throttle.burst)
            });
        }
        if refusals.len() < ADDRESSES_MAX || refusals.contains_key(&address) {
            refusals.entry(address).or_insert_with(|| Bucket::full(throttle, now)).take(now);
        }
    }
}

/// What counts for one stage.
#[derive(Debug)]
pub(crate) struct StageThrottle {
    all: Gate,
    routes: HashMap<String, Gate, foldhash::fast::RandomState>,
}

impl StageThrottle {
    pub(crate) fn new(stage: &Stage, now: Millis) -> Self {
        let routes = stage.route_throttles.iter();
        Self {
            all: Gate::new(stage.throttle, now),
            routes: routes.map(|(key, throttle)| (key.clone(), Gate::new(Some(*throttle), now))).collect(),
        }
    }

    /// One more request of a route. A route with a throttle of its own does not count for the stage.
    pub(crate) fn request(&self, route: &str, now: Millis) -> bool {
        self.routes.get(route).unwrap_or(&self.all).take(now)
    }
}

/// What counts for one API key.
#[derive(Debug)]
struct KeyThrottle {
    gate: Gate,
    quota: Option<(u64, Period)>,
    /// Which period, and how many requests it had.
    used: Mutex<(u64, u64)>,
}

impl KeyThrottle {
    fn new(key: &ApiKey, now: Millis) -> Self {
        let quota = key.quota.map(|quota| (quota.limit, quota.period));
        Self { gate: Gate::new(key.throttle, now), quota, used: Mutex::default() }
    }

    fn take(&self, now: Millis) -> bool {
        if !self.gate.take(now) {
            return false;
        }
        let Some((limit, period)) = self.quota else { return true };
        let current = number_of(period, now);
        let mut used = self.used.lock();
        if used.0 != current {
            *used = (current, 0);
        }
        used.1 += 1;
        used.1 <= limit
    }
}

/// The number of the period that `now` is in, in UTC.
fn number_of(period: Period, now: Millis) -> u64 {
    let days = now / DAY_MS;
    match period {
        Period::Day => days,
        // 1 January 1970 was a Thursday.
        Period::Week => (days + 3) / 7,
        Period::Month => month_of(days),
    }
}

/// Months since a fixed one, of a day since 1970 (Hinnant's civil calendar).
fn month_of(days: u64) -> u64 {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    (era * 400 + year_of_era) * 12 + month
}

#[cfg(test)]
mod tests {
    use fanfare_apigateway::model::Quota;

    use super::*;

    #[test]
    fn routes_with_a_throttle_do_not_count_for_the_stage() {
        let throttle = |burst| Throttle { rate: 1.0, burst };
        let routes = [("own".to_owned(), throttle(2))].into();
        let stage = Stage { throttle: Some(throttle(1)), route_throttles: routes, ..Stage::default() };
        let stage = StageThrottle::new(&stage, 0);
        assert_eq!([0, 0, 0].map(|now| stage.request("own", now)), [true, true, false]);
        assert_eq!([0, 0, 1_000].map(|now| stage.request("other", now)), [true, false, true]);
    }

    #[test]
    fn addresses_that_are_refused_all_the_time_are_not_listened_to() {
        let throttle = ApiThrottle::new(&Options { refusals_per_second: 2, ..Options::default() }, &[], 0);
        let address = IpAddr::from([127, 0, 0, 1]);
        assert!(!throttle.is_refused_too_often(address, 0));
        throttle.refused(address, 0);
        assert!(!throttle.is_refused_too_often(address, 0));
        throttle.refused(address, 0);
        assert!(throttle.is_refused_too_often(address, 0));
        assert!(!throttle.is_refused_too_often(address, 500), "it may try again after a while");
    }

    #[test]
    fn quotas_begin_anew_with_their_period() {
        let quota = Some(Quota { limit: 1, period: Period::Day });
        let key = ApiKey { id: "k".to_owned(), value: "v".to_owned(), throttle: None, quota };
        let throttle = ApiThrottle::new(&Options::default(), &[key], 0);
        assert_eq!([0, 1, DAY_MS].map(|now| throttle.key(0, now)), [true, false, true]);
        assert!(throttle.key(9, 0), "who has no key has no quota");
    }

    #[test]
    fn periods_are_those_of_the_calendar() {
        let at = |days: u64| days * DAY_MS;
        // 2026-11-30 and 2026-12-01; 2026-11-22 is a Sunday.
        assert_eq!(number_of(Period::Month, at(20_787)) + 1, number_of(Period::Month, at(20_788)));
        assert_eq!(number_of(Period::Week, at(20_779)) + 1, number_of(Period::Week, at(20_780)));
    }
}
