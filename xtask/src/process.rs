//! Runs one command in a process group of its own. Nothing of the group outlives the command, its time limit
//! or an interrupt of this program.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

/// How often a running command is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Between asking a group to end and ending it.
const GRACE: Duration = Duration::from_secs(5);

/// Set by SIGINT and SIGTERM, which do not reach the groups of the commands by themselves.
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub(crate) fn watch() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            signal_hook::flag::register(signal as i32, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a command ended.
pub(crate) enum End {
    Exited(ExitStatus),
    TimedOut,
    Interrupted,
}

/// Runs `command` without input; what it prints goes where ours goes.
pub(crate) fn run(command: &mut Command, limit: Duration, interrupt: &Interrupt) -> Result<End> {
    let start = Instant::now();
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child =
        command.stdin(Stdio::null()).process_group(0).spawn().with_context(|| format!("{program} does not start"))?;
    let group = Pid::from_raw(i32::try_from(child.id())?);
    let end = loop {
        if has_exited(group)? {
            break None;
        }
        if interrupt.is_set() {
            break Some(End::Interrupted);
        }
        if start.elapsed() >= limit {
            break Some(End::TimedOut);
        }
        sleep(LOOK);
    };
    if end.is_some() {
        ask_to_end(group)?;
    }
    let status = finish(&mut child, group)?;
    Ok(end.unwrap_or(End::Exited(status)))
}

fn ask_to_end(group: Pid) -> Result<()> {
    let _ = killpg(group, Signal::SIGTERM);
    let asked = Instant::now();
    while asked.elapsed() < GRACE && !has_exited(group)? {
        sleep(LOOK);
    }
    Ok(())
}

/// The leader is reaped last: until then its id, which is the group's, belongs to nobody else.
fn finish(child: &mut Child, group: Pid) -> Result<ExitStatus> {
    let _ = killpg(group, Signal::SIGKILL);
    Ok(child.wait()?)
}

fn has_exited(leader: Pid) -> Result<bool> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    match waitid(Id::Pid(leader), flags) {
        Ok(WaitStatus::StillAlive) => Ok(false),
        Ok(_) => Ok(true),
        Err(error) => bail!("waiting for process {leader}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> End {
        let mut command = Command::new("sh");
        run(command.args(["-c", script]), limit, &Interrupt(Arc::default())).unwrap()
    }

    #[test]
    fn an_exit_code_comes_back() {
        assert!(matches!(shell("exit 3", GRACE), End::Exited(status) if status.code() == Some(3)));
    }

    #[test]
    fn a_group_ends_with_its_time() {
        let start = Instant::now();
        assert!(matches!(shell("sleep 60 & sleep 60", Duration::from_millis(50)), End::TimedOut));
        assert!(start.elapsed() < GRACE);
    }

    #[test]
    fn what_a_command_leaves_behind_ends_with_it() {
        let pipe = Command::new("sh")
            .args(["-c", "sleep 60 & echo $!"])
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let group = Pid::from_raw(i32::try_from(pipe.id()).unwrap());
        let mut child = pipe;
        while !has_exited(group).unwrap() {
            sleep(LOOK);
        }
        finish(&mut child, group).unwrap();
        // The sleeper held the pipe open: this returns because it is gone.
        let mut text = String::new();
        std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut text).unwrap();
        assert!(text.trim().parse::<u32>().is_ok());
    }

    #[test]
    fn an_interrupt_ends_the_group() {
        let interrupt = Interrupt(Arc::new(AtomicBool::new(true)));
        let end = run(Command::new("sleep").arg("60"), GRACE, &interrupt).unwrap();
        assert!(matches!(end, End::Interrupted));
    }
}
