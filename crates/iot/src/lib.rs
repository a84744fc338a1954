//! AWS IoT without a network: the rules' SQL, topic rules and device shadows.
//!
//! Everything here is a function of its arguments: no socket, no clock, no
//! task. Time, identity and stored shadows come in with the call.
//!
//! | module     | story                                                        |
//! |------------|--------------------------------------------------------------|
//! | [`sql`]    | `SELECT .. FROM .. WHERE ..` over one message, and `${..}`   |
//! | [`rules`]  | which rules a message meets, and what they ask to be done    |
//! | [`shadow`] | device shadows: a document, its versions and its differences |
//!
//! ```
//! use fanfare_iot::sql::{Input, Output, Statement};
//!
//! let statement = Statement::parse("SELECT temp * 2 AS t2, topic(2) AS dev FROM 's/+/t' WHERE temp > 20")?;
//! let output = statement.run(&Input::new(br#"{"temp": 21}"#, "s/d7/t"))?;
//! assert_eq!(output, Some(Output::Json(serde_json::json!({"t2": 42, "dev": "d7"}))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod rules;
pub mod shadow;
pub mod sql;
