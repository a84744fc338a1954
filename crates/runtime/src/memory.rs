//! How much memory processes use, as Linux tells it; elsewhere nothing is known, and nothing is limited.

use std::collections::HashMap;
use std::fs;

/// The most that a process has used so far, in KiB; 0 if that is not known.
pub(crate) fn peak_kb(pid: i32) -> u64 {
    fs::read_to_string(format!("/proc/{pid}/status")).ok().and_then(|status| field(&status, "VmHWM:")).unwrap_or(0)
}

/// What each of these process groups uses, in KiB. Reads a file of every process of the system, so that it is for a
/// thread that may block.
pub(crate) fn of_groups(groups: &[i32]) -> HashMap<i32, u64> {
    let mut used = HashMap::with_capacity(groups.len());
    let Ok(processes) = fs::read_dir("/proc") else { return used };
    for process in processes.flatten() {
        if !process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let path = process.path();
        let Some(group) = fs::read_to_string(path.join("stat")).ok().and_then(|stat| group_of(&stat)) else { continue };
        if !groups.contains(&group) {
            continue;
        }
        if let Ok(status) = fs::read_to_string(path.join("status")) {
            *used.entry(group).or_insert(0) += field(&status, "VmRSS:").unwrap_or(0);
        }
    }
    used
}

/// The process group: the third field after the name, which is in parentheses and may hold anything.
fn group_of(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(2)?.parse().ok()
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_behind_any_name() {
        assert_eq!(group_of("12 (a) b (c)) S 1 99 99 0"), Some(99));
        assert_eq!(group_of("nonsense"), None);
    }

    #[test]
    fn this_process_uses_memory() {
        let own = nix::unistd::getpgrp().as_raw();
        assert!(of_groups(&[own]).get(&own).is_some_and(|&kb| kb > 1_000));
        assert!(peak_kb(i32::try_from(std::process::id()).unwrap()) > 1_000);
    }
}
