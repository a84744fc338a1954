//! What a configuration must be like before a function is made of it.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::HandlerConfig;
use crate::error::HostError;

const SECOND: Duration = Duration::from_secs(1);

/// The configuration with an absolute folder, if it is as it must be.
pub(crate) fn checked(mut config: HandlerConfig) -> Result<HandlerConfig, HostError> {
    let is_name = |name: &str| {
        (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let names = [Some(&config.name), config.alias.as_ref()];
    if let Some(name) = names.into_iter().flatten().find(|name| !is_name(name)) {
        return Err(HostError::Name { name: name.clone(), origin: config.origin });
    }
    let in_range = |what: &str, is: Duration, range: RangeInclusive<u32>| {
        let (least, most) = (SECOND * *range.start(), SECOND * *range.end());
        let reason = || format!("{what} is {} s; it must be {} to {} s", is.as_secs_f64(), range.start(), range.end());
        if (least..=most).contains(&is) { Ok(()) } else { Err(setting(&config, reason())) }
    };
    in_range("the timeout", config.timeout, 1..=900)?;
    in_range("the age of events", config.event_age_max, 60..=21_600)?;
    if !(128..=10_240).contains(&config.memory_mb) {
        let reason = format!("the memory is {} MB; it must be 128 to 10240 MB", config.memory_mb);
        return Err(setting(&config, reason));
    }
    if config.retries > 2 {
        return Err(setting(&config, format!("{} retries; there may be 0 to 2", config.retries)));
    }
    if let Some(reserved) = config.reserved_concurrency.filter(|&reserved| reserved < config.provisioned_concurrency) {
        let provisioned = config.provisioned_concurrency;
        let reason = format!("{provisioned} processes are provisioned, of {reserved} that are reserved");
        return Err(setting(&config, reason));
    }
    let root = config.root.canonicalize().and_then(|root| root.read_dir().map(|_| root));
    match root {
        Ok(root) => config.root = root,
        Err(error) => {
            let HandlerConfig { name, origin, root, .. } = config;
            return Err(HostError::Root { name, origin, root, reason: error.to_string() });
        }
    }
    Ok(config)
}

/// A setting that is not as it must be.
pub(crate) fn setting(config: &HandlerConfig, reason: String) -> HostError {
    HostError::Setting { name: config.name.clone(), origin: config.origin.clone(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::config;

    #[test]
    fn settings_have_ranges() {
        let folder = tempfile::tempdir().unwrap();
        let good = config("f", folder.path());
        assert!(checked(good.clone()).is_ok());
        let bad = |change: fn(&mut HandlerConfig)| {
            let mut config = good.clone();
            change(&mut config);
            checked(config).unwrap_err().to_string()
        };
        assert!(bad(|c| c.name = "a/b".into()).contains("rename it"));
        assert!(bad(|c| c.alias = Some(String::new())).contains("rename it"));
        assert!(bad(|c| c.timeout = Duration::from_secs(901)).contains("1 to 900 s"));
        assert!(bad(|c| c.memory_mb = 64).contains("128 to 10240"));
        assert!(bad(|c| c.retries = 3).contains("0 to 2"));
        assert!(bad(|c| c.event_age_max = Duration::ZERO).contains("60 to 21600 s"));
        assert!(bad(|c| c.root = "/nowhere/at/all".into()).contains("cannot be read"));
        assert!(bad(|c| (c.reserved_concurrency, c.provisioned_concurrency) = (Some(1), 2)).contains("reserved"));
    }
}
