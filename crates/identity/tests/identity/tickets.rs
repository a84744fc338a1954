//! One-time tickets.

use std::sync::Arc;

use fanfare_core::Principal;
use fanfare_identity::{Revocation, TICKET_TTL_MS, Tickets};

use crate::support::{NOW, no_revocations};

fn ann() -> Arc<Principal> {
    Arc::new(Principal { subject: Some("ann".into()), expires_at: Some(NOW + 60_000), ..Principal::default() })
}

#[test]
fn a_ticket_is_worth_one_use_within_half_a_minute() {
    let tickets = Tickets::new(no_revocations());
    let ticket = tickets.issue(ann(), NOW).unwrap();
    assert_eq!(ticket.len(), 22);
    assert_eq!(tickets.redeem(&ticket, NOW + 1), Some(ann()));
    assert_eq!(tickets.redeem(&ticket, NOW + 2), None);
    let ticket = tickets.issue(ann(), NOW).unwrap();
    assert_eq!(tickets.redeem(&ticket, NOW + TICKET_TTL_MS), None);
    for text in ["", "x", &"A".repeat(22), &"A".repeat(10_000), "not base64!"] {
        assert_eq!(tickets.redeem(text, NOW), None);
    }
    assert!(tickets.is_empty());
}

#[test]
fn a_ticket_is_worth_no_more_than_its_principal() {
    let revocations = no_revocations();
    let tickets = Tickets::new(revocations.clone());
    let mut brief = Principal::clone(&ann());
    brief.expires_at = Some(NOW + 10);
    let ticket = tickets.issue(Arc::new(brief), NOW).unwrap();
    assert_eq!(tickets.redeem(&ticket, NOW + 10), None);
    let ticket = tickets.issue(ann(), NOW).unwrap();
    let ban = Revocation::Subject { subject: "ann".into(), issued_before: None };
    revocations.revoke(ban, None, NOW, None).unwrap();
    assert_eq!(tickets.redeem(&ticket, NOW + 1), None);
}

#[test]
fn outstanding_tickets_are_bounded_and_the_oldest_gives_way() {
    let tickets = Tickets::bounded(no_revocations(), 3);
    let issued: Vec<_> = (0..4).map(|_| tickets.issue(ann(), NOW).unwrap()).collect();
    assert_eq!(tickets.len(), 3);
    assert_eq!(tickets.redeem(&issued[0], NOW), None);
    for ticket in &issued[1..] {
        assert!(tickets.redeem(ticket, NOW).is_some());
    }
    // Used tickets take no room from those that are still to be used.
    let waiting = tickets.issue(ann(), NOW).unwrap();
    for _ in 0..1_000 {
        let ticket = tickets.issue(ann(), NOW).unwrap();
        assert!(tickets.redeem(&ticket, NOW).is_some());
    }
    assert!(tickets.redeem(&waiting, NOW).is_some());
    // Ended ones are cleared away by the next.
    tickets.issue(ann(), NOW).unwrap();
    tickets.issue(ann(), NOW + TICKET_TTL_MS).unwrap();
    assert_eq!(tickets.len(), 1);
}
