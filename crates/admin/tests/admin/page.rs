//! The page that a browser sees first.

use fanfare_admin::{Operations, StartPage};
use fanfare_testkit::TestServerOptions;

use crate::support::{Server, http, operations};

#[test]
fn browsers_find_the_page() {
    let server = Server::start();
    for path in ["/", "/console"] {
        let answer = server.get_as(None, path);
        assert_eq!((answer.status, answer.header("location")), (302, Some("/console/")), "{path}");
    }
    let page = server.get_as(None, "/console/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for id in ["topic", "subscribe", "payload", "publish", "messages", "state", "token", "since"] {
        assert!(page.body.contains(&format!("id=\"{id}\"")), "#{id}");
    }
    let head = http(server.inner.address, "HEAD", "/console/", None, None);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), Some(&*page.body.len().to_string()));
    assert_eq!(server.get_as(None, "/nothing").problem(), (404, "not_found".into()));
    assert_eq!(http(server.inner.address, "POST", "/console/", None, None).problem().0, 405);
}

#[test]
fn the_page_asks_nobody_else_and_runs_nothing_but_its_script() {
    let server = Server::start();
    let page = server.get_as(None, "/console/");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    for forbidden in ["http://", "https://", " style=\"", " onclick", "innerHTML", "eval("] {
        assert!(!page.body.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn the_page_can_be_left_out() {
    let server = Server::with(Operations { start_page: StartPage::Off, ..operations() }, TestServerOptions::default());
    for path in ["/", "/console", "/console/"] {
        assert_eq!(server.get_as(None, path).problem(), (404, "not_found".into()), "{path}");
    }
    assert_eq!(server.get_as(None, "/healthz").status, 200);
}
