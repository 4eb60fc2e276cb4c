//! A capture file written by hand: Ethernet, IPv4, TCP and UDP headers around given payloads.

use std::path::Path;
use tempfile::NamedTempFile;

/// The two ports of a conversation.
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) client: u16,
    pub(crate) server: u16,
}

/// A capture in the classic pcap format.
pub(crate) struct Capture {
    bytes: Vec<u8>,
    packets: u32,
    snap_bytes: usize,
    file: NamedTempFile,
}

const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [192, 0, 2, 2];
const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 0x02;
const PUSH: u8 = 0x08;
const ACK: u8 = 0x10;

fn wide(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a short capture")
}

fn narrow(bytes: usize) -> u16 {
    u16::try_from(bytes).expect("a short packet")
}

impl Capture {
    pub(crate) fn new() -> Self {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&0xa1b2_c3d4_u32.to_be_bytes());
        bytes.extend_from_slice(&[0, 2, 0, 4]);
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&65_535_u32.to_be_bytes());
        bytes.extend_from_slice(&1_u32.to_be_bytes());
        Self {
            bytes,
            packets: 0,
            snap_bytes: usize::MAX,
            file: NamedTempFile::new().expect("a temporary file"),
        }
    }

    /// Keeps of the packets to come only this many bytes each.
    pub(crate) fn snap_to(&mut self, bytes: usize) {
        self.snap_bytes = bytes;
    }

    /// The file, written as far as the capture goes.
    pub(crate) fn path(&self) -> &Path {
        std::fs::write(self.file.path(), &self.bytes).expect("a capture");
        self.file.path()
    }

    fn packet(&mut self, protocol: u8, to_server: bool, transport: &[u8]) {
        let (from, to) = if to_server {
            (CLIENT, SERVER)
        } else {
            (SERVER, CLIENT)
        };
        let mut ip = vec![0x45, 0];
        ip.extend_from_slice(&narrow(20 + transport.len()).to_be_bytes());
        ip.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
        ip.extend_from_slice(&from);
        ip.extend_from_slice(&to);
        let sum: u32 = ip
            .chunks(2)
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        ip[10..12]
            .copy_from_slice(&(!u16::try_from(folded).expect("two folds are not needed")).to_be_bytes());
        let ethernet = [
            &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0],
            ip.as_slice(),
            transport,
        ]
        .concat();

        self.packets += 1;
        self.bytes
            .extend_from_slice(&(1_700_000_000 + self.packets / 1_000).to_be_bytes());
        self.bytes
            .extend_from_slice(&(self.packets % 1_000 * 1_000).to_be_bytes());
        let kept = ethernet.len().min(self.snap_bytes);
        self.bytes.extend_from_slice(&wide(kept).to_be_bytes());
        self.bytes.extend_from_slice(&wide(ethernet.len()).to_be_bytes());
        self.bytes.extend_from_slice(&ethernet[..kept]);
    }

    fn udp(&mut self, flow: Flow, to_server: bool, payload: &[u8]) {
        let (from, to) = if to_server {
            (flow.client, flow.server)
        } else {
            (flow.server, flow.client)
        };
        let mut udp = Vec::new();
        udp.extend_from_slice(&from.to_be_bytes());
        udp.extend_from_slice(&to.to_be_bytes());
        udp.extend_from_slice(&narrow(8 + payload.len()).to_be_bytes());
        udp.extend_from_slice(&[0, 0]);
        udp.extend_from_slice(payload);
        self.packet(UDP, to_server, &udp);
    }

    pub(crate) fn udp_to_server(&mut self, flow: Flow, payload: &[u8]) {
        self.udp(flow, true, payload);
    }

    pub(crate) fn udp_to_client(&mut self, flow: Flow, payload: &[u8]) {
        self.udp(flow, false, payload);
    }

    /// A whole connection: the handshake, then the segments of both sides in turns.
    pub(crate) fn tcp(&mut self, flow: Flow, to_server: &[&[u8]], to_client: &[&[u8]]) {
        let mut sent = [1_000_u32, 9_000_u32];
        let mut segment = |capture: &mut Self, side: usize, flags: u8, payload: &[u8]| {
            let (from, to) = if side == 0 {
                (flow.client, flow.server)
            } else {
                (flow.server, flow.client)
            };
            let acknowledged = if flags & ACK == 0 { 0 } else { sent[1 - side] };
            let mut tcp = Vec::new();
            tcp.extend_from_slice(&from.to_be_bytes());
            tcp.extend_from_slice(&to.to_be_bytes());
            tcp.extend_from_slice(&sent[side].to_be_bytes());
            tcp.extend_from_slice(&acknowledged.to_be_bytes());
            tcp.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
            tcp.extend_from_slice(payload);
            capture.packet(TCP, side == 0, &tcp);
            sent[side] += wide(payload.len()) + u32::from(flags & SYN != 0);
        };
        segment(self, 0, SYN, &[]);
        segment(self, 1, SYN | ACK, &[]);
        segment(self, 0, ACK, &[]);
        for turn in 0..to_server.len().max(to_client.len()) {
            if let Some(payload) = to_server.get(turn) {
                segment(self, 0, ACK | PUSH, payload);
            }
            if let Some(payload) = to_client.get(turn) {
                segment(self, 1, ACK | PUSH, payload);
            }
        }
    }
}
