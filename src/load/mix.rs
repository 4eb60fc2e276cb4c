//! What a load is made of: kinds of requests, and how often each is drawn.

use crate::rng::Rng;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A peer that the RS has not seen joins.
    Join,
    /// A peer renews its lease.
    KeepAlive,
    /// A peer registers a content that only it holds, and takes it back the next time.
    Register,
    /// One of the contents is searched by its name.
    Search,
    /// A page of the contents, from a place of its own on.
    List,
    /// A page of the active peers.
    Peers,
}

impl Kind {
    /// Every kind, and its word on the command line and in reports.
    pub const ALL: [(&'static str, Self); 6] = [
        ("join", Self::Join),
        ("keepalive", Self::KeepAlive),
        ("register", Self::Register),
        ("search", Self::Search),
        ("list", Self::List),
        ("peers", Self::Peers),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("", |(word, _)| word)
    }
}

/// How often each kind is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix(Vec<(Kind, u64)>);

impl Mix {
    /// Reads `search,join` (equally often) or `search=9,join=1`; `None` if it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let part = |part: &str| {
            let (word, weight) = part.split_once('=').unwrap_or((part, "1"));
            let (_, kind) = Kind::ALL.iter().find(|(known, _)| *known == word)?;
            let weight: u32 = weight.parse().ok().filter(|weight| *weight > 0)?;
            Some((*kind, u64::from(weight)))
        };
        text.split(',').map(part).collect::<Option<_>>().map(Self)
    }

    /// Draws a kind.
    pub(super) fn draw(&self, rng: &mut Rng) -> Kind {
        let all = self.0.iter().map(|(_, weight)| weight).sum();
        let mut left = rng.below(all);
        for (kind, weight) in &self.0 {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *kind,
            }
        }
        Kind::Search
    }

    /// True if somebody has to be registered before such requests mean anything.
    pub(super) fn needs_peers(&self) -> bool {
        self.0.iter().any(|(kind, _)| *kind != Kind::Join)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_drawn_as_often_as_they_weigh() {
        let mix = Mix::parse("search=3,join").expect("a mix");
        let mut rng = Rng::from_seed(1);
        let joins = (0..4_000).filter(|_| mix.draw(&mut rng) == Kind::Join).count();
        assert!((900..1_100).contains(&joins), "{joins} of 4000");
        assert!(mix.needs_peers() && !Mix::parse("join").expect("a mix").needs_peers());
    }

    #[test]
    fn what_is_no_mix_is_refused() {
        for text in ["", "serch", "search,,join", "search=0", "search=x", "search=-1"] {
            assert_eq!(Mix::parse(text), None, "{text}");
        }
    }
}
