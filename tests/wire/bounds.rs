//! Every bound of `limits.rs` that belongs to the wire: hit it, pass it, read the error.

use core::fmt::Debug;
use p2pdi::id::PieceIndex;
use p2pdi::limits::{
    CHUNK_BYTES_MAX, COMPONENT_BYTES_MAX, ERROR_TEXT_BYTES_MAX, FRAME_BYTES_MAX, HAVE_MAP_BYTES_MAX,
    HOLDERS_PER_LISTING_MAX, HOST_BYTES_MAX, MANIFEST_PAGE_PIECES_MAX, MEDIA_TYPE_BYTES_MAX, NAME_BYTES_MAX,
    OS_BYTES_MAX, PAGE_ENTRIES_MAX, PEER_NAME_BYTES_MAX, PIECES_PER_FRAME_MAX, TITLE_BYTES_MAX,
};
use p2pdi::name::{ContentName, Host, PeerName};
use p2pdi::wire::{Field, FrameHeader, List, Message, Reader, Rest, TABLE, Text};

/// The error that a field of type `T` gives for these bytes.
fn error_of<T: Field + Debug>(bytes: &[u8], field: &'static str) -> String {
    T::take(&mut Reader::new(bytes), field)
        .expect_err("over its bound")
        .to_string()
}

fn accepted<T: Field + Debug>(bytes: &[u8], field: &'static str) {
    let mut input = Reader::new(bytes);
    let value = T::take(&mut input, field).expect("at its bound");
    assert!(input.is_empty());
    let mut again = Vec::new();
    value.put(&mut again);
    assert_eq!(again, bytes, "{field}");
}

/// A text behind its length, filled with `a` and a `/` wherever a component would grow too long.
fn text(bytes: usize, components: bool) -> Vec<u8> {
    let border = |at: usize| components && at % 250 == 125;
    let mut out = u16::try_from(bytes).expect("a short text").to_be_bytes().to_vec();
    out.extend((0..bytes).map(|at| if border(at) { b'/' } else { b'a' }));
    out
}

fn text_is_bounded<T: Field + Debug>(max: usize, field: &'static str) {
    accepted::<T>(&text(max, max == NAME_BYTES_MAX), field);
    let error = error_of::<T>(&text(max + 1, true), field);
    assert_eq!(
        error,
        format!("field {field}: length {} is over the limit of {max}", max + 1)
    );
}

#[test]
fn texts_are_bounded() {
    text_is_bounded::<ContentName>(NAME_BYTES_MAX, "name");
    text_is_bounded::<PeerName>(PEER_NAME_BYTES_MAX, "name");
    text_is_bounded::<Host>(HOST_BYTES_MAX, "host");
    text_is_bounded::<Text<TITLE_BYTES_MAX>>(TITLE_BYTES_MAX, "title");
    text_is_bounded::<Text<MEDIA_TYPE_BYTES_MAX>>(MEDIA_TYPE_BYTES_MAX, "media_type");
    text_is_bounded::<Text<OS_BYTES_MAX>>(OS_BYTES_MAX, "os");
    text_is_bounded::<Text<ERROR_TEXT_BYTES_MAX>>(ERROR_TEXT_BYTES_MAX, "text");
}

#[test]
fn components_of_a_name_are_bounded() {
    accepted::<ContentName>(&text(COMPONENT_BYTES_MAX, false), "name");
    let error = error_of::<ContentName>(&text(COMPONENT_BYTES_MAX + 1, false), "name");
    assert_eq!(
        error,
        format!("field name: is longer than {COMPONENT_BYTES_MAX} bytes")
    );
}

#[test]
fn texts_that_explain_are_cut_at_a_characters_border() {
    for (text, bytes) in [
        ("é".repeat(40), 64),
        (format!("a{}", "é".repeat(40)), 63),
        ("short".to_owned(), 5),
    ] {
        let cut = Text::<OS_BYTES_MAX>::cut(text.clone());
        assert_eq!(cut.as_str().len(), bytes);
        assert!(text.starts_with(cut.as_str()));
        let mut encoded = Vec::new();
        cut.put(&mut encoded);
        accepted::<Text<OS_BYTES_MAX>>(&encoded, "os");
    }
}

fn list_is_bounded<const MAX: usize>(field: &'static str) {
    let list = List::<PieceIndex, MAX>::first_of((0..).map(PieceIndex).take(MAX + 1));
    assert_eq!(list.len(), MAX, "first_of stops at the bound");
    let mut full = list;
    assert!(!full.push(PieceIndex(0)), "push says that there is no room");
    let mut bytes = Vec::new();
    full.put(&mut bytes);
    accepted::<List<PieceIndex, MAX>>(&bytes, field);
    bytes[..2].copy_from_slice(&u16::try_from(MAX + 1).expect("a short list").to_be_bytes());
    let error = error_of::<List<PieceIndex, MAX>>(&bytes, field);
    assert_eq!(
        error,
        format!("field {field}: length {} is over the limit of {MAX}", MAX + 1)
    );
}

#[test]
fn lists_are_bounded() {
    list_is_bounded::<HOLDERS_PER_LISTING_MAX>("holders");
    list_is_bounded::<PAGE_ENTRIES_MAX>("contents");
    list_is_bounded::<MANIFEST_PAGE_PIECES_MAX>("values");
    list_is_bounded::<PIECES_PER_FRAME_MAX>("pieces");
}

fn rest_is_bounded<const MAX: usize>(letter: u8, before: usize, field: &'static str) {
    let at_bound = vec![0; before + MAX];
    assert!(Message::decode(letter, &at_bound).is_ok());
    let error = Message::decode(letter, &[at_bound.as_slice(), &[0]].concat()).expect_err("over its bound");
    assert_eq!(
        error.to_string(),
        format!("field {field}: length {} is over the limit of {MAX}", MAX + 1)
    );
    assert_eq!(error_of::<Rest<MAX>>(&vec![0; MAX + 1], field), error.to_string());
}

#[test]
fn chunks_and_have_maps_are_bounded() {
    rest_is_bounded::<CHUNK_BYTES_MAX>(b'C', 20, "payload");
    rest_is_bounded::<HAVE_MAP_BYTES_MAX>(b'M', 42, "map");
}

#[test]
fn frames_are_bounded() {
    for row in TABLE.iter().filter(|row| row.letter != b'C') {
        assert!(row.bytes_max <= FRAME_BYTES_MAX, "{}", row.name);
    }
    // A page of the longest entries ends at the frame's bound, not at the number of its entries.
    let [a, b, c, d] = u32::try_from(FRAME_BYTES_MAX + 1)
        .expect("a length")
        .to_be_bytes();
    let error = FrameHeader::decode([b'O', a, b, c, d]).expect_err("over its bound");
    assert_eq!(
        error.to_string(),
        "field length: length 131073 is over the limit of 131072"
    );
    // No chunk is so long that its own frame would be refused.
    let chunk = u32::try_from(20 + CHUNK_BYTES_MAX)
        .expect("a length")
        .to_be_bytes();
    assert!(FrameHeader::decode([b'C', chunk[0], chunk[1], chunk[2], chunk[3]]).is_ok());
}
