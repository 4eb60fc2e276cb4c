//! What must hold of a ring, after every step (Zave 2017): every member lists a live one, and enough members are
//! principals, whom nobody's list skips; and in a young ring everybody lists everybody.
//!
//! Belongs here: looking. Does not: what happens. A slow twin of nothing: it sees all nodes at once, as no node can.

use super::world::{Event, NodeIndex, RingWorld};
use crate::proto::chord::{Member, RingNode, Standing};
use crate::ring::{RingId, between};
use crate::time::Instant;
use crate::wire::{Message, RingView};
use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingBroken(pub String);

impl fmt::Display for RingBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is looked at of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    me: Member,
    standing: Standing,
    list: Vec<Member>,
}

impl Seen {
    fn of(node: &RingNode) -> Self {
        Self {
            me: node.me(),
            standing: node.standing(),
            list: node.successors().to_vec(),
        }
    }

    const fn is_member(&self) -> bool {
        matches!(self.standing, Standing::In | Standing::Young)
    }
}

/// A list that a node has, or is about to have because the answer is under way.
#[derive(Clone)]
struct Listed {
    owner: Member,
    list: Vec<Member>,
}

impl fmt::Debug for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} > {:?}", self.owner, self.list)
    }
}

/// Watches a ring.
#[derive(Debug)]
pub struct RingCheck {
    /// How many principals a grown ring must have.
    principals_min: usize,
    seen: BTreeMap<NodeIndex, Seen>,
    /// The principals, and since when each has been one without a break.
    principal_since: BTreeMap<RingId, (Member, Instant)>,
    /// The ring has been grown, with as many principals as it takes.
    has_had_enough: bool,
    looks: u64,
}

impl RingCheck {
    /// A watch over rings whose members list `successors` others.
    pub const fn new(successors: usize) -> Self {
        Self {
            principals_min: successors + 1,
            seen: BTreeMap::new(),
            principal_since: BTreeMap::new(),
            has_had_enough: false,
            looks: 0,
        }
    }

    /// How often something had changed and was looked at.
    pub const fn looks(&self) -> u64 {
        self.looks
    }

    /// Looks at the nodes that something happened to.
    ///
    /// # Errors
    /// What does not hold any more.
    pub fn look(&mut self, world: &mut RingWorld) -> Result<(), RingBroken> {
        let mut changed = false;
        for index in world.take_touched() {
            let now = world.node(index).map(Seen::of);
            if self.seen.get(&index) != now.as_ref() {
                changed = true;
                match now {
                    Some(now) => self.seen.insert(index, now),
                    None => self.seen.remove(&index),
                };
            }
        }
        if !changed {
            return Ok(());
        }
        self.looks += 1;
        let members: Vec<&Seen> = self.seen.values().filter(|seen| seen.is_member()).collect();
        let lists: Vec<Listed> = members.iter().map(|seen| listed(seen)).collect();
        let circle = Circle::of(members.iter().map(|seen| seen.me));
        every_member_has_a_live_one(&circle, &lists)?;
        let asking = world.under_way();
        let pending: Vec<Listed> = asking
            .filter_map(|event| pending(world, event, &|to| self.seen.get(&to)))
            .collect();
        let principals = circle.principals(lists.iter().chain(&pending));
        // A newcomer that a ring did not count in when it became young makes it no grown one.
        let (young, rest): (Vec<&Seen>, Vec<&Seen>) =
            members.iter().partition(|seen| seen.standing == Standing::Young);
        let counted_in = |seen: &&Seen| young.iter().any(|other| other.list.contains(&seen.me));
        let enough = self.has_had_enough || principals.len() >= self.principals_min;
        let grown = young.is_empty() || enough && rest.iter().any(counted_in);
        if grown {
            self.enough_principals(&circle, &principals, &lists)?;
        } else {
            let circle = Circle::of(young.iter().map(|seen| seen.me));
            let lists: Vec<Listed> = young.iter().map(|seen| listed(seen)).collect();
            everybody_lists_everybody(&circle, &lists)?;
        }
        one_ordered_ring(&circle, &lists)?;
        self.has_had_enough |= grown && principals.len() >= self.principals_min;
        self.note_principals(world.now(), &principals);
        Ok(())
    }

    /// A ring grows up with as many as it takes, and loses them by death only. Of one that has shrunk somebody is left; it may
    /// grow again before newcomers from earlier have settled.
    fn enough_principals(
        &self,
        circle: &Circle,
        principals: &[Member],
        lists: &[Listed],
    ) -> Result<(), RingBroken> {
        let needed = if self.has_had_enough {
            1
        } else {
            self.principals_min
        };
        if principals.len() < needed {
            let few = principals.len();
            return Err(RingBroken(format!(
                "{few} principals, and {needed} are needed: {lists:#?}"
            )));
        }
        let before = self.principal_since.values().map(|(member, _)| member);
        let mut alive = before.filter(|member| circle.has(member));
        match alive.find(|member| !principals.contains(member)) {
            Some(lost) => Err(RingBroken(format!(
                "{lost:?} was a principal, and is skipped: {lists:#?}"
            ))),
            None => Ok(()),
        }
    }

    fn note_principals(&mut self, now: Instant, principals: &[Member]) {
        self.principal_since
            .retain(|_, (member, _)| principals.contains(member));
        for member in principals {
            self.principal_since.entry(member.id).or_insert((*member, now));
        }
    }

    /// A principal that came before `owner` after `key` ever since `since`: then the answer `owner` is wrong.
    pub fn better(&self, key: RingId, owner: RingId, since: Instant) -> Option<RingId> {
        let mut steady = self.principal_since.iter().filter(|(_, (_, at))| *at <= since);
        steady
            .find(|(id, _)| **id != owner && (**id == key || between(key, **id, owner)) && owner != key)
            .map(|(id, _)| *id)
    }

    /// True if the ring would still be one without these nodes, whatever is under way: the failures and departures that
    /// the protocol presumes.
    pub fn would_bear(&self, world: &RingWorld, dying: &BTreeSet<NodeIndex>) -> bool {
        let left = self.seen.iter().filter(|(index, _)| !dying.contains(index));
        let left: BTreeMap<NodeIndex, &Seen> = left.map(|(index, seen)| (*index, seen)).collect();
        let members: Vec<&Seen> = left.values().filter(|seen| seen.is_member()).copied().collect();
        if members.is_empty() {
            return false;
        }
        let mut lists: Vec<Listed> = members.iter().map(|seen| listed(seen)).collect();
        // A young ring that is complete is about to call itself grown.
        let complete = |members: usize| members >= self.principals_min;
        let mut all = self.seen.values().filter(|seen| seen.is_member());
        let mut grows = all.any(|seen| complete(seen.list.len() + 1));
        for event in world.under_way() {
            if let Event::Request {
                message: Message::RingMembers(members),
                ..
            } = event
            {
                grows |= complete(members.view.members.len());
            }
            lists.extend(pending(world, event, &|to| left.get(&to).copied()));
        }
        let circle = Circle::of(members.iter().map(|seen| seen.me));
        // The last of a grown ring may be asked for a place before it knows that it is alone, and has nobody to name.
        if self.has_had_enough && members.len() < 2 {
            return false;
        }
        // Half-way to being grown it must not lose what it takes.
        let is_young = self.seen.values().any(|seen| seen.standing == Standing::Young);
        let needed = match () {
            () if self.has_had_enough && !(grows && is_young) => 1,
            () if grows || members.iter().any(|seen| seen.standing == Standing::In) => self.principals_min,
            () => 0,
        };
        every_member_has_a_live_one(&circle, &lists).is_ok()
            && circle.principals(lists.iter()).len() >= needed
    }

    /// True if everybody is where they belong: all nodes members, all lists as long as they can be and right, and the ring
    /// young if it is small.
    pub fn is_ideal(world: &RingWorld) -> bool {
        let nodes: Vec<&RingNode> = world.nodes().map(|(_, node)| node).collect();
        let circle = Circle::of(nodes.iter().map(|node| node.me()));
        let count = nodes.len();
        nodes.iter().all(|node| {
            let at = circle.place(node.me().id);
            let after = (1..count).map(|step| circle.members[(at + step) % count]);
            let list: Vec<Member> = after.take(node.settings().successors).collect();
            let before = (count > 1).then(|| circle.members[(at + count - 1) % count]);
            let standing = if count > node.settings().successors {
                Standing::In
            } else {
                Standing::Young
            };
            node.standing() == standing && node.successors() == list && node.predecessor() == before
        })
    }
}

fn listed(seen: &Seen) -> Listed {
    Listed {
        owner: seen.me,
        list: seen.list.clone(),
    }
}

/// The list that an answer under way will give a node.
fn pending<'s>(
    world: &RingWorld,
    event: &Event,
    seen: &dyn Fn(NodeIndex) -> Option<&'s Seen>,
) -> Option<Listed> {
    let Event::Answer {
        to,
        message: Message::RingState(state),
        ..
    } = event
    else {
        return None;
    };
    // Other answers change nobody's place.
    let heeds = |node: &RingNode| node.heeds(state.request);
    world.node(*to).is_some_and(heeds).then_some(())?;
    let to = seen(*to)?;
    let left_out = |view: &RingView| view.members.iter().all(|member| *member != to.me.wire());
    if state.view.as_ref().is_some_and(left_out) {
        return None;
    }
    let settings = world.any_settings()?;
    let member = |member| Member::of(settings.space, member);
    let theirs = state.successors.iter().map(member);
    let list = match to.standing {
        Standing::Joining => theirs.collect(),
        Standing::In => core::iter::once(member(&state.node))
            .chain(theirs)
            .take(settings.successors)
            .collect(),
        Standing::Young | Standing::Out => return None,
    };
    Some(Listed { owner: to.me, list })
}

/// The members in the order of their ids.
struct Circle {
    members: Vec<Member>,
}

impl Circle {
    fn of(members: impl Iterator<Item = Member>) -> Self {
        let mut members: Vec<Member> = members.collect();
        members.sort_by_key(|member| member.id);
        Self { members }
    }

    fn place(&self, id: RingId) -> usize {
        self.members.partition_point(|member| member.id < id)
    }

    fn has(&self, member: &Member) -> bool {
        self.members.get(self.place(member.id)) == Some(member)
    }

    /// The members that no list skips.
    fn principals<'l>(&self, lists: impl Iterator<Item = &'l Listed>) -> Vec<Member> {
        let count = self.members.len();
        let mut skipped = vec![false; count];
        for Listed { owner, list } in lists {
            let Some(last) = list.last() else {
                continue;
            };
            let from = self.place(owner.id);
            for step in 0..count {
                let at = (from + step) % count;
                let member = self.members[at];
                if member.id == owner.id {
                    continue;
                }
                if !between(owner.id, member.id, last.id) {
                    break;
                }
                skipped[at] |= !list.contains(&member);
            }
        }
        let kept = self.members.iter().zip(skipped).filter(|(_, skipped)| !skipped);
        kept.map(|(member, _)| *member).collect()
    }
}

fn every_member_has_a_live_one(circle: &Circle, lists: &[Listed]) -> Result<(), RingBroken> {
    for listed in lists {
        let alone = circle.members.len() == 1 && circle.members[0] == listed.owner;
        if !alone && !listed.list.iter().any(|member| circle.has(member)) {
            return Err(RingBroken(format!("nobody on this list is alive: {listed:?}")));
        }
    }
    Ok(())
}

fn everybody_lists_everybody(circle: &Circle, lists: &[Listed]) -> Result<(), RingBroken> {
    for listed in lists {
        let others = circle.members.iter().filter(|member| **member != listed.owner);
        if let Some(missing) = others.into_iter().find(|member| !listed.list.contains(member)) {
            return Err(RingBroken(format!(
                "young, and {missing:?} is not listed: {listed:?}"
            )));
        }
    }
    Ok(())
}

/// Going from each member to the first live one on its list, one comes round once, and everybody else leads there.
fn one_ordered_ring(circle: &Circle, lists: &[Listed]) -> Result<(), RingBroken> {
    let next: Vec<usize> = {
        let mut next = vec![usize::MAX; circle.members.len()];
        for listed in lists {
            let live = listed
                .list
                .iter()
                .find(|member| circle.has(member))
                .unwrap_or(&listed.owner);
            next[circle.place(listed.owner.id)] = circle.place(live.id);
        }
        next
    };
    let count = next.len();
    let mut at = 0;
    for _ in 0..count {
        at = next[at];
    }
    let start = at;
    let mut turns = 0;
    let mut on_ring = vec![false; count];
    loop {
        on_ring[at] = true;
        turns += usize::from(next[at] <= at);
        at = next[at];
        if at == start {
            break;
        }
    }
    if turns != 1 {
        return Err(RingBroken(format!(
            "the ring goes round {turns} times: {lists:#?}"
        )));
    }
    // One ring only: whoever one begins with, one comes to it.
    for from in 0..count {
        let mut at = from;
        for _ in 0..count {
            if on_ring[at] {
                break;
            }
            at = next[at];
        }
        if !on_ring[at] {
            return Err(RingBroken(format!("a second ring: {lists:#?}")));
        }
    }
    Ok(())
}
