//! Help, completions, the manual page.

use crate::fanfare::Fanfare;

#[test]
fn help_names_every_command() {
    let done = Fanfare::new().run(&["--help"]);
    assert_eq!(done.code, Some(0));
    for word in ["serve", "sub", "pub", "token", "check", "config", "completions", "man"] {
        assert!(done.out.contains(&format!("\n  {word} ")), "{word}: {}", done.out);
    }
    assert!(done.out.contains("--mqtt-listen <ADDR>"));
    assert!(done.out.contains("Exit codes"));
}

#[test]
fn completions_for_each_shell() {
    let fanfare = Fanfare::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = fanfare.run(&["completions", shell]);
        assert_eq!(done.code, Some(0), "{shell}");
        assert!(done.out.contains("mqtt-listen"), "{shell}");
    }
}

#[test]
fn the_manual_page_holds_every_command() {
    let done = Fanfare::new().run(&["man"]);
    assert_eq!(done.code, Some(0));
    assert!(done.out.contains(".TH fanfare 1"), "{}", done.out);
    assert!(done.out.contains(".SH FANFARE TOKEN") && done.out.contains("retain"));
}

#[test]
fn a_token_in_the_environment_is_not_shown() {
    let fanfare = Fanfare::new();
    let mut command = fanfare.command(&["sub", "--help"]);
    let output = command.env("FANFARE_TOKEN", "hush").output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stdout).contains("hush"));
}
