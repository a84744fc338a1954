//! Looks at how much memory processes use, and ends those that use more than they may.

use std::sync::Weak;
use std::time::{Duration, Instant};

use crate::host::Common;
use crate::memory;

/// How often is looked.
const PERIOD: Duration = Duration::from_millis(250);

/// For as long as the host exists.
pub(crate) async fn watch(common: Weak<Common>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let Some(common) = common.upgrade() else { return };
        let mut working = Vec::new();
        for function in common.functions() {
            let limit_kb = u64::from(function.config().memory_mb) << 10;
            let groups = function.shared.with_pool(|pool| pool.working());
            working.extend(groups.into_iter().map(|(id, group)| (function.clone(), id, group, limit_kb)));
        }
        if working.is_empty() {
            continue;
        }
        let groups: Vec<_> = working.iter().map(|&(_, _, group, _)| group).collect();
        let Ok(used) = tokio::task::spawn_blocking(move || memory::of_groups(&groups)).await else { continue };
        for (function, id, group, limit_kb) in working {
            if used.get(&group).is_some_and(|&used| used > limit_kb) {
                function.shared.with_pool(|pool| pool.over_memory(id, Instant::now()));
            }
        }
    }
}
