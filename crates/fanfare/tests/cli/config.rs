//! `check`, `config`, and how serving starts.

use crate::fanfare::Fanfare;

#[test]
fn check_tells_all_mistakes_and_fails() {
    let fanfare = Fanfare::new();
    fanfare.write("bad.toml", "lisen = 1\n[limits]\nframe_bytes = true\n");
    let done = fanfare.run(&["check", "bad.toml"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert_eq!(done.out, "");
    assert_eq!(
        done.err,
        "bad.toml:1:1: lisen: unknown key; did you mean `listen`?\n\
         bad.toml:3:15: limits.frame_bytes: found true, expected a whole number from 1024 to \
         536870912\n"
    );
}

#[test]
fn check_is_content_with_a_right_file() {
    let fanfare = Fanfare::new();
    fanfare.write("fanfare.toml", "listen = \"127.0.0.1:9\"\n");
    let done = fanfare.run(&["check"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "fanfare.toml: no mistakes\n"));
}

#[test]
fn check_says_when_there_is_no_file() {
    let done = Fanfare::new().run(&["check", "none.toml"]);
    assert_eq!(done.code, Some(1));
    assert!(done.err.starts_with("none.toml: cannot read the file: No such file"), "{done:?}");
}

#[test]
fn the_printed_configuration_has_no_mistakes() {
    let fanfare = Fanfare::new();
    let printed = fanfare.run(&["config"]);
    assert_eq!(printed.code, Some(0));
    assert!(printed.out.contains("# listen = [\"127.0.0.1:8080\"]\n"), "{}", printed.out);
    fanfare.write("fanfare.toml", &printed.out);
    assert_eq!(fanfare.run(&["check"]).code, Some(0));
}

#[test]
fn a_wrong_configuration_does_not_serve() {
    let fanfare = Fanfare::new();
    fanfare.write("fanfare.toml", "shards = 'all'\n");
    for arguments in [&["serve"][..], &[]] {
        let done = fanfare.run(arguments);
        assert_eq!(done.code, Some(2), "{done:?}");
        assert_eq!(
            done.err,
            "fanfare: fanfare.toml:1:10: shards: found the text \"all\", expected a whole number \
             from 0 to 1024\n"
        );
    }
    let done = fanfare.run(&["--config", "other.toml"]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.err.contains("other.toml: cannot read the file"), "{done:?}");
}

#[test]
fn flags_of_serve_work_without_the_word() {
    let fanfare = Fanfare::new();
    for arguments in [&["--listen", "nowhere"][..], &["serve", "--listen", "nowhere"]] {
        let done = fanfare.run(arguments);
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(done.err.contains("--listen: listen[0]: found the text \"nowhere\""), "{done:?}");
    }
    let done = fanfare.run(&["--in-memory", "--app", "app.yaml"]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.err.contains("app.yaml"), "{done:?}");
}

#[test]
fn a_named_file_in_the_environment_does_not_disturb_other_commands() {
    let fanfare = Fanfare::new();
    fanfare.write("right.toml", "");
    let mut command = fanfare.command(&["check", "right.toml"]);
    let output = command.env("FANFARE_CONFIG", "right.toml").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn wrong_usage_is_told_apart() {
    let fanfare = Fanfare::new();
    assert_eq!(fanfare.run(&["--no-such-flag"]).code, Some(2));
    assert_eq!(fanfare.run(&["sub"]).code, Some(2));
    assert_eq!(fanfare.run(&["token", "--ttl", "soon"]).code, Some(2));
    let done = fanfare.run(&["sub", "t", "--url", "here"]);
    assert_eq!(done.code, Some(2));
    assert!(done.err.starts_with("fanfare: here: expected a URL"), "{done:?}");
}
