//! `fanfare passwd`: what it prints, the users file takes.

use crate::fanfare::Fanfare;

#[test]
fn an_entry_comes_out_and_the_password_does_not() {
    let fanfare = Fanfare::new();
    let done = fanfare.run_with_input(&["passwd", "ann \"the\" admin"], b"sesame, open\r\nnot this\n");
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    assert!(!done.out.contains("sesame"), "{}", done.out);
    fanfare.write("users.toml", &done.out);
    fanfare.write("fanfare.toml", "[mqtt]\nusers_file = 'users.toml'\n");
    let done = fanfare.run(&["check"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    fanfare.write("users.toml", &fanfare.run_with_input(&["passwd"], b"x\n").out.replace("allow = []", "alow = []"));
    let done = fanfare.run(&["check"]);
    assert!(done.code == Some(1) && done.err.contains("mqtt.users_file"), "{done:?}");
}

#[test]
fn what_no_client_could_send_is_refused() {
    let fanfare = Fanfare::new();
    for (name, password) in [("ann", "\n"), ("a?b", "sesame\n"), ("", "sesame\n")] {
        assert_eq!(fanfare.run_with_input(&["passwd", name], password.as_bytes()).code, Some(2), "{name}");
    }
}
