//! Numbers compared by value: `300`, `300.0` and `3.0e2` are one number.

use std::cmp::Ordering;

use serde_json::Number;

/// Beyond this magnitude a float is not turned into an integer: it is larger
/// than every integer that JSON text is read into.
const INTEGER_LIMIT: f64 = 36_893_488_147_419_103_232.0; // 2^65

/// The value of a JSON number, in one form for each value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Canonical {
    /// A whole number, exact.
    Whole(i128),
    /// Anything else; never whole below [`INTEGER_LIMIT`].
    Real(f64),
}

impl Canonical {
    /// The canonical form of a JSON number.
    pub(crate) fn of(number: &Number) -> Self {
        if let Some(whole) = number.as_i64() {
            return Self::Whole(whole.into());
        }
        if let Some(whole) = number.as_u64() {
            return Self::Whole(whole.into());
        }
        let real = number.as_f64().unwrap_or(f64::NAN);
        if real.fract() == 0.0 && real.abs() < INTEGER_LIMIT { Self::Whole(real as i128) } else { Self::Real(real) }
    }

    /// Which of two numbers is larger; `None` only for a number that is none.
    pub(crate) fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(&b)),
            // A real number that is not whole has less than 53 bits before the
            // point, so rounding the whole one cannot carry it past the other.
            (Self::Whole(a), Self::Real(b)) => (a as f64).partial_cmp(&b),
            (Self::Real(a), Self::Whole(b)) => a.partial_cmp(&(b as f64)),
            (Self::Real(a), Self::Real(b)) => a.partial_cmp(&b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Canonical {
        Canonical::of(&serde_json::from_str(text).expect("the test's numbers are JSON"))
    }

    #[test]
    fn one_value_has_one_form() {
        for text in ["300", "300.0", "3.0e2", "3E+2", "30000e-2"] {
            assert_eq!(number(text), Canonical::Whole(300), "{text}");
        }
        assert_eq!(number("-0.0"), number("0"));
        assert_ne!(number("300.5"), number("300"));
    }

    #[test]
    fn neighbours_beyond_the_precision_of_a_float_differ() {
        assert_ne!(number("9007199254740993"), number("9007199254740992"));
        assert_eq!(number("18446744073709551615").order(number("18446744073709551614")), Some(Ordering::Greater));
        assert_eq!(number("1e300").order(number("18446744073709551615")), Some(Ordering::Greater));
        assert_eq!(number("9007199254740993").order(number("0.5")), Some(Ordering::Greater));
    }
}
