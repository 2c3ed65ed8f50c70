//! Finds out what a connection is before a worker gets it.

use super::acceptor::Seat;
use super::stream::Stream;
use crate::policy::Admission;

/// Finds out and hands over.
pub(super) async fn identify(client: Stream, _admission: &Admission, seat: Seat) {
    seat.take(client, None, Vec::new());
}
