//! What a row of the PDU table says.

use super::codec::FieldRow;

/// Who sends a PDU to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A peer to the RS.
    PeerToRs,
    /// The RS to a peer.
    RsToPeer,
    /// A peer to a peer, either way.
    PeerToPeer,
    /// Anybody to anybody.
    Both,
}

/// What a PDU may travel on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Streams only.
    Tcp,
    /// Datagrams only.
    Udp,
    /// Either.
    TcpUdp,
}

/// One PDU: a row of the table.
#[derive(Clone, Copy, Debug)]
pub struct PduRow {
    /// The type byte.
    pub letter: u8,
    /// The form byte after the request number, where request and answer share a letter.
    pub form: Option<u8>,
    /// The PDU's name.
    pub name: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Who sends it.
    pub direction: Direction,
    /// On what.
    pub transport: Transport,
    /// The longest value, checked before a byte of it is read.
    pub bytes_max: usize,
    /// Its fields.
    pub fields: &'static [FieldRow],
}

/// The longest row of a letter; `None` for a letter nobody uses.
pub fn row_of(letter: u8) -> Option<&'static PduRow> {
    super::TABLE
        .iter()
        .filter(|row| row.letter == letter)
        .max_by_key(|row| row.bytes_max)
}
