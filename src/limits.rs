//! Every bound of the program, each with the reason for its value.
//!
//! A bound keeps one stranger from costing everybody: it limits memory, threads, time or bytes. Each has a
//! test that hits it (`tests/limits.rs` lists which) and shows the error a user gets.

use crate::time::Span;

// --- names and texts on the wire ---

/// One component of a name: what Linux file systems allow.
pub const COMPONENT_BYTES_MAX: usize = 255;
/// A whole content name: deep trees fit, and a name still fits into one datagram.
pub const NAME_BYTES_MAX: usize = 1_000;
/// A peer's name: one component.
pub const PEER_NAME_BYTES_MAX: usize = 255;
/// A host: the longest DNS name.
pub const HOST_BYTES_MAX: usize = 255;
/// A title, as read from an RFC: two full lines.
pub const TITLE_BYTES_MAX: usize = 255;
/// A media type (RFC 6838 §4.2 allows 127 on each side; those in use are far shorter).
pub const MEDIA_TYPE_BYTES_MAX: usize = 127;
/// An operating system's name and version.
pub const OS_BYTES_MAX: usize = 64;
/// The text of an error: one line that names the thing and the fix.
pub const ERROR_TEXT_BYTES_MAX: usize = 255;

// --- frames ---

/// A datagram: passes every path with an MTU of 1,280 (IPv6's minimum) in one packet.
pub const DATAGRAM_BYTES_MAX: usize = 1_200;
/// The payload of one `C`: big enough that its label is noise, small enough to hear control between two.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;
/// The value of any frame but `C`: a page is read in one gulp and allocated only after this check.
pub const FRAME_BYTES_MAX: usize = 128 * 1024;
/// Holders named for one content in an answer: more than any getter asks at once.
pub const HOLDERS_PER_LISTING_MAX: usize = 64;
/// Entries in one page: below what [`FRAME_BYTES_MAX`] would allow, so a page is never a long wait.
pub const PAGE_ENTRIES_MAX: usize = 1_024;
/// Piece values in one manifest page: 3,072 of 32 bytes stay below [`FRAME_BYTES_MAX`].
pub const MANIFEST_PAGE_PIECES_MAX: usize = 3_072;
/// A have-map: one bit for each piece of nearly 16 TiB in pieces of 16 MiB, the most a frame takes.
pub const HAVE_MAP_BYTES_MAX: usize = 128 * 1024 - 64;
/// Pieces named in one request or have-update.
pub const PIECES_PER_FRAME_MAX: usize = 1_024;
/// Counters of one kind in an RS's account: twice as many as there are.
pub const COUNTERS_MAX: usize = 64;
/// The name of a counter: a few words.
pub const COUNTER_NAME_BYTES_MAX: usize = 48;
/// Offline peers that an RS names in its account: two screens of them, which fit into a frame with the longest names. How
/// many there are in all is told besides.
pub const OFFLINE_PEERS_MAX: usize = 128;

// --- pieces (DESIGN: a fixed function of the size, so that all holders agree) ---

/// The smallest piece: below it the per-piece cost shows.
pub const PIECE_BYTES_MIN: u64 = 64 * 1024;
/// The largest piece: what a liar can cost at most.
pub const PIECE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How many pieces a content is cut into while pieces may still grow.
pub const PIECES_TARGET_MAX: u64 = 1_024;

// --- the registration server ---

/// A lease, in the original systems and by default.
pub const LEASE_SECS: u32 = 7_200;
/// How often a peer renews it: 24 chances before it runs out.
pub const KEEP_ALIVE: Span = Span::from_secs(300);
/// A peer silent for two keep-alives is probed, so a lost host is noticed long before its lease ends.
pub const SILENCE_BEFORE_PROBE: Span = Span::from_secs(660);
/// A probe that connects within this is an answer; three of them fit into the 30 s in which the dead must go.
pub const PROBE_TIMEOUT: Span = Span::from_secs(5);
/// The same peer is not probed more often, however often it is reported.
pub const PROBE_INTERVAL_MIN: Span = Span::from_secs(5);
/// Probes that may wait for a prober; more reports are dropped, for their getters will report again.
pub const PROBES_WAITING_MAX: usize = 1_024;
/// The days over which registrations are counted.
pub const REGISTRATIONS_DAYS: i64 = 30;
/// Time stamps of registrations kept per peer: the count is shown as this many when there were more.
pub const REGISTRATIONS_KEPT_MAX: usize = 256;
/// A wall clock that is off by more than this from where it should be was set; less is how clocks drift.
pub const WALL_CLOCK_JUMP: Span = Span::from_secs(60);
/// A wall clock that nobody has set for so long is taken to be right: then stamps from its future are pulled back. Before,
/// it may be the one that is wrong, as where it begins in the past after each boot.
pub const WALL_CLOCK_TRUSTED_AFTER: Span = Span::from_secs(86_400);
/// Peer records, active or not: ten times the cluster this is built for; the longest inactive goes first.
pub const PEERS_MAX: usize = 1_000_000;
/// Content records of one peer: a peer that shares more should share fewer, larger directories.
pub const RECORDS_PER_PEER_MAX: usize = 200_000;
/// Content records of all peers: eight times what a large cluster has, at some 400 bytes each.
pub const RECORDS_MAX: usize = 8_000_000;
/// Joins of one address at once: ten thousand peers on one host, and a lease's worth more of them with
/// [`ADDRESS_JOINS_PER_SEC`] is a tenth of [`PEERS_MAX`]. IPv6 counts by networks of 64 bits.
pub const ADDRESS_JOINS: u64 = 16_384;
/// And so many more a second.
pub const ADDRESS_JOINS_PER_SEC: u64 = 10;
/// Registrations, de-registrations and renewals of one address at once: all that five peers may have.
pub const ADDRESS_CHANGES: u64 = 1_000_000;
/// And so many more a second: with them a lease's worth is no more than all of [`RECORDS_MAX`].
pub const ADDRESS_CHANGES_PER_SEC: u64 = 900;
/// Entries (contents, peers) that one address is told of at once: all that an RS may keep.
pub const ADDRESS_ENTRIES: u64 = 8_000_000;
/// And so many more a second: each costs half a microsecond, so no address takes more than a quarter of a core.
pub const ADDRESS_ENTRIES_PER_SEC: u64 = 500_000;
/// What a search, or a page, counts at least: it costs as much as so many entries of a long one.
pub const QUESTION_ENTRIES: u64 = 8;
/// Reports of holders of one address at once: all the holders that a hundred getters try.
pub const ADDRESS_REPORTS: u64 = 4_096;
/// And so many more a second: less than the probers of an RS do.
pub const ADDRESS_REPORTS_PER_SEC: u64 = 50;
/// Addresses whose requests are counted: those that ask for more than comes back to them.
pub const RATED_ADDRESSES_MAX: usize = 65_536;
/// Worker threads of the RS when none are asked for.
pub const RS_WORKERS: usize = 8;
/// The most worker threads that help.
pub const RS_WORKERS_MAX: usize = 256;
/// Open connections at the RS: with it, the oldest idle one goes.
pub const RS_CONNECTIONS_MAX: usize = 16_384;
/// Of them from one address, so that one host cannot take the place of all; this machine's own are not counted.
pub const RS_CONNECTIONS_PER_ADDRESS_MAX: usize = 4_096;
/// A connection that has asked nothing for so long has no peer behind it: peers renew their lease three times as often.
pub const RS_IDLE: Span = Span::from_secs(900);
/// Unfinished requests and answers not taken yet, of all connections together, in bytes; above it, whoever leaves any
/// behind is closed.
pub const RS_HELD_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Threads that probe reported peers.
pub const RS_PROBERS: usize = 4;
/// Answers to datagrams waiting for the store: a second of them on a fast disk; whoever is dropped asks again.
pub const RS_HELD_ANSWERS_MAX: usize = 65_536;
/// Changes waiting for the store: seconds of them; with more the disk does not keep up, and clients are told so.
pub const RS_CHANGES_WAITING_MAX: usize = 262_144;
/// A store's file is compacted from this size on, when most of it is unused: a smaller one is no burden.
pub const RS_COMPACT_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// Threads that serve datagrams: more than two take each other's time at one socket.
pub const RS_UDP_THREADS: usize = 2;
/// Datagrams taken with one system call: with more nothing is gained, and the first would wait for the last.
pub const RS_UDP_BATCH_MAX: usize = 64;
/// Lines of log about requests in a second: more of them are counted, and cost an RS under attack nothing.
pub const RS_LOG_LINES_PER_SEC_MAX: u32 = 100;
/// Addresses that an RS remembers to have warned of: more of them at once are an attack, and fill only the lines above.
pub const RS_WARNED_ADDRESSES_MAX: usize = 1_024;
/// Answers waiting for one slow reader, in bytes; its requests are not read until it has taken some.
pub const RS_ANSWERS_WAITING_BYTES_MAX: usize = 512 * 1024;
/// The queue of connections the kernel may hold before we accept them.
pub const LISTEN_BACKLOG: i32 = 4_096;
/// How long an address token lives: long enough for slow clients, short enough for stolen ones.
pub const TOKEN_PERIOD: Span = Span::from_secs(60);

// --- connections ---

/// From the first byte of a frame to its last: any working link does 128 KiB in it.
pub const FRAME_DEADLINE: Span = Span::from_secs(15);
/// The version exchange: one short frame each way.
pub const HELLO_DEADLINE: Span = Span::from_secs(10);
/// One `C` and what is left of the last, to a reader that reads: 2 KiB/s is still served.
pub const SEND_DEADLINE: Span = Span::from_secs(120);
/// A frame of a few bytes to a side that reads: while one waits, the other holders of a content wait too.
pub const CONTROL_DEADLINE: Span = Span::from_secs(2);
/// A peer's connection without a request; the RS keeps idle ones until it needs their place.
pub const PEER_IDLE: Span = Span::from_secs(120);
/// Opening a connection.
pub const CONNECT_TIMEOUT: Span = Span::from_secs(5);
/// Open files kept for all that is no connection: state, output, logs, probes, a scan.
pub const DESCRIPTORS_KEPT: usize = 32;
/// Waiting for the first byte of an answer, or the next byte of content.
pub const ANSWER_TIMEOUT: Span = Span::from_secs(20);
/// Connections a peer serves at once when none are asked for; each is a thread.
pub const PEER_CONNECTIONS: usize = 256;
/// The most connections (threads) a peer may be told to serve.
pub const PEER_CONNECTIONS_MAX: usize = 16_384;

// --- requests over UDP ---

/// The first wait for an answer; it doubles with every try.
pub const RETRY_FIRST: Span = Span::from_millis(200);
/// The longest wait between two tries.
pub const RETRY_MAX: Span = Span::from_secs(2);
/// Tries before the RS counts as unreachable: about 12 s in all.
pub const TRIES_MAX: u32 = 9;

// --- the transfer engine ---

/// A holder that has sent nothing of an expected piece for this long loses it to others.
pub const STALL: Span = Span::from_secs(2);
/// And one that stays silent for this long is given up.
pub const STALL_GIVE_UP: Span = Span::from_secs(20);
/// A holder whose connection was lost in the middle is tried again after this: what was started anew is often back.
pub const HOLDER_RETRY: Span = Span::from_secs(2);
/// Getters that wait for each other conclude that what is missing is nowhere when the last hope is so old: in it one that
/// has hope is heard of six peers away.
pub const HOPE_LOST: Span = Span::from_secs(4);
/// A getter for which there is nothing hears so, and how old our own hope is, at least so often.
pub const HOPE_WORD: Span = Span::from_millis(500);
/// While no piece has counted for so long other holders are looked for, and the user is told: a smallest piece takes it
/// at 2 KiB/s. Nobody is given up for it, for some links are so slow.
pub const HEADWAY: Span = Span::from_secs(30);
/// A piece that takes this long, and twice as long as another holder takes, may come from others too: a holder
/// that has become slow is not silent. No less, for a large piece on a slow link is no reason to begin it again.
pub const SLOW_PIECE: Span = Span::from_secs(5);
/// As many pieces as a holder sends in this span may be under way from it: covers any LAN's round trip.
pub const WINDOW_SPAN: Span = Span::from_millis(40);
/// Pieces under way from one holder: choices made early are choices made blindly.
pub const WINDOW_PIECES_MAX: u32 = 16;
/// Pieces a holder may have announced and not begun to send: all that it ever has credit for, twice.
pub const ANNOUNCED_MAX: usize = 32;
/// Pieces' worth of bytes a holder may send since it last brought one that was needed: others are quicker now and then,
/// but whoever is so for long only costs.
pub const UNNEEDED_PIECES_MAX: u64 = 32;
/// At a contended uplink every so manieth turn goes to the getter served least, whatever it gives: nobody
/// starves, and those who only take cost the others an eighth at most.
pub const TURN_FOR_ALL: u64 = 8;
/// At a whole holder every so manieth turn does not ask who is known to give, so that newcomers can show it; with
/// fewer such turns a swarm of a thousand honest peers is slower.
pub const TURN_FOR_UNKNOWN: u64 = 4;
/// Pieces a getter is sent before it is asked what it gives: a newcomer has nothing to give yet. In a large swarm
/// a freeloader gets so much of every neighbour.
pub const PIECES_ON_TRUST: u64 = 1;
/// Pieces a getter may be ahead for each that it gave: half is enough, for some links are slow upwards.
pub const PIECES_PER_GIVEN: u64 = 2;

/// How long a relay leaves a piece to the one that got it first: a choice travels behind what its link has queued,
/// so relays that do not wait send what another has just begun to. Longer makes large swarms slower.
pub const RELAY_PATIENCE: Span = Span::from_millis(20);
/// And how long at most, when much of its help comes twice.
pub const RELAY_PATIENCE_MAX: Span = Span::from_millis(200);
/// Pieces are announced so far ahead of their bytes: two holders that choose the same one hear of it in time. More
/// would be choosing blindly.
pub const ANNOUNCE_AHEAD: Span = Span::from_millis(40);
/// And so much before the rate of the uplink is known: a relay waits before it sends what it has announced, and one piece
/// after another would be slow.
pub const ANNOUNCE_BYTES_FIRST: u64 = 256 * 1024;
/// A relay announces a piece no later than this before its bytes: the time in which a getter that expects the piece from
/// another says so.
pub const ANNOUNCED_BEFORE: Span = Span::from_millis(15);
/// A settled piece is told with those that settle within this: each frame costs a wakeup at both ends.
pub const SETTLED_WAIT: Span = Span::from_millis(20);
/// Settled pieces of one holder that wait for no others to be told with them: until it knows, it may choose them.
pub const SETTLED_TOGETHER_MAX: usize = 16;
/// Words that wait for a getter that takes none: a whole window of choices and as many refusals, and it is stuck.
pub const WORDS_WAITING_MAX: usize = 256;
/// A getter that hears words and gets nothing waits so long: the turns of ten others, each with a large piece on a
/// slow uplink. After that words are no sign of life.
pub const TURN_WAIT_MAX: Span = Span::from_secs(600);
/// A getter that waits for an announced piece, or for its turn, hears at least so often that its holder lives.
pub const WORD_TO_WAITING: Span = Span::from_secs(2);
/// How long an uplink is watched before and after it is tried with another number of lanes.
pub const LANES_TRIAL: Span = Span::from_millis(100);
/// After a trial that did not help, so long until the next; twice as long after each that follows.
pub const LANES_TRIAL_AGAIN: Span = Span::from_secs(2);
/// And no longer than this: an uplink may change.
pub const LANES_TRIAL_AGAIN_MAX: Span = Span::from_secs(16);
/// More lanes are not tried where the pieces they begin would take the uplink longer than this: what is begun goes to its
/// end, and all of it would come late.
pub const LANES_TRIAL_MAX: Span = Span::from_secs(8);
/// Bytes a lane must have moved before they tell of the link, and not of how a lane begins.
pub const LANES_TRIAL_BYTES: u64 = 128 * 1024;
/// Where others wait for a lane, it is free when what is left on the way takes the uplink no longer than this: what waits in
/// an uplink's own queue holds up what others say against it.
pub const LANE_TAIL: Span = Span::from_millis(1);
/// Such a lane is looked at no more often than this,
pub const LANE_LOOK_MIN: Span = Span::from_millis(1);
/// and no less often, for the uplink may have become faster.
pub const LANE_LOOK_MAX: Span = Span::from_millis(10);
/// Lanes that are waited for hold together what the uplink takes in this time: less, and it is idle between two pieces;
/// more, and small queues drop some of it.
pub const LANES_SPAN: Span = Span::from_millis(25);
/// And are no more than this: more are for trials to find.
pub const LANES_FLOOR_MAX: usize = 8;
/// A lane whose getter takes nothing for so long does not count: another may be sent to.
pub const LANE_STUCK: Span = Span::from_millis(250);
/// An uplink that has sent nothing for so long had nothing to send: that time says nothing of its rate.
pub const UPLINK_PAUSE: Span = Span::from_secs(1);
/// What is sent in one go takes an uplink about so long: control is heard in between, and few calls are made.
pub const STEP_SPAN: Span = Span::from_millis(30);
/// Until its rate is known, so much.
pub const STEP_BYTES_FIRST: usize = 64 * 1024;
/// And no less: it would be more labels than bytes.
pub const STEP_BYTES_MIN: usize = 16 * 1024;
/// Lanes of one uplink: each is a thread while it sends.
pub const LANES_MAX: usize = 256;
/// Holders a getter takes one content from at once: a link is full long before, and each is a thread.
pub const SOURCES_MAX: usize = 40;
/// Holders heard of and tried for one content: others name them, and anybody can name anything.
pub const HEARD_HOLDERS_MAX: usize = 256;
/// From this size on a lone holder is asked over two connections: one core alone does not fill a fast link.
pub const TWO_STREAMS_BYTES: u64 = 64 * 1024 * 1024;
/// Contents a holder keeps mapped when nobody takes them any more: each is an open file.
pub const OFFERS_KEPT_MAX: usize = 8;
/// So many bytes of a map and more are sent as pages; below, copying them is cheaper than the calls it takes.
pub const SPLICE_BYTES_MIN: usize = 64 * 1024;
/// What the pipe for that holds: as much as anybody may ask for.
pub const CONDUIT_BYTES: usize = 1024 * 1024;
/// Bytes of content a socket may hold unsent, on a slow uplink: what waits there was chosen early, and blindly.
pub const UNSENT_BYTES_MIN: u32 = 16 * 1024;
/// And on a fast one, where [`LANE_TAIL`] is so much: with less, a sender is woken as often as it sends.
pub const UNSENT_BYTES_MAX: u32 = 2 * 1024 * 1024;

/// Contents up to this size come whole and in numbers, each verified in memory before it is written: two smallest
/// pieces, so that a liar costs no more than elsewhere and nothing is worth resuming.
pub const SMALL_BYTES_MAX: u64 = 2 * PIECE_BYTES_MIN;
/// What a connection over which they come takes in at once: several of them, with one call and one acknowledgement.
pub const SMALL_READ_BYTES: usize = 256 * 1024;
/// Small contents asked ahead of one connection: enough that no holder waits for the next request.
pub const SMALL_AHEAD_MAX: usize = 64;
/// And their bytes: more than any LAN has under way, and little to ask again if the holder fails.
pub const SMALL_AHEAD_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// A connection that answers later than this is asked less far ahead: what it owes others could bring.
pub const SMALL_AHEAD_SPAN: Span = Span::from_millis(100);
/// What comes whole comes at this rate at least, after a first wait: a holder that drips is none.
pub const SMALL_RATE_MIN: u64 = 2 * 1024;
/// Small files that reach the disk and get their names together: one sync instead of as many, and each is an open
/// file meanwhile.
pub const SMALL_GROUP_FILES: usize = 128;

// --- the ring ---

/// Bits of an id: what SHA-1 gives.
pub const RING_ID_BITS_MAX: u16 = 160;
/// Successors a node lists: so many less one may die at once. 3 or 4 are too few.
pub const RING_SUCCESSORS: u16 = 8;
/// The most a node can be told to list: the published experiment with half of the nodes dying at once has 20.
pub const RING_SUCCESSORS_MAX: usize = 32;
/// Members of a young ring: everybody lists everybody, so one more than a list may have.
pub const RING_VIEW_MAX: usize = RING_SUCCESSORS_MAX + 1;
/// Nodes that keep a record: its owner and those that follow.
pub const RING_REPLICAS: u16 = 3;
/// Between two looks of a node at its successor.
pub const RING_STABILIZE: Span = Span::from_secs(3);
/// A question to a node without an answer is asked again after this,
pub const RING_ANSWER: Span = Span::from_millis(1_500);
/// and after so many tries the node counts as dead.
pub const RING_TRIES_MAX: u32 = 3;
/// A node that is busy is asked again after this at the earliest, each time later, and at no foreseeable moment.
pub const RING_BUSY_WAIT: Span = Span::from_millis(50);
/// And so often in all.
pub const RING_BUSY_MAX: u32 = 16;
/// Nodes of one host that a node takes note of: who has many addresses could surround a node with its own.
pub const RING_IDS_PER_HOST: usize = 64;
/// Steps of one lookup: ten times what a ring of a million nodes needs.
pub const RING_STEPS_MAX: u32 = 256;
/// Steps of one lookup without fingers, which goes from node to node.
pub const RING_WALK_MAX: u32 = 100_000;
/// Nodes that one lookup keeps in mind, for when nearer ones are gone.
pub const RING_HINTS_MAX: usize = 256;
/// Nearer nodes named in one answer: the first is taken, the others are for when it is dead.
pub const RING_NEARER_MAX: usize = 8;
/// Addresses of other nodes remembered, to find a ring that has split off.
pub const RING_CONTACTS_MAX: usize = 64;
/// A grown ring is not young again before this: what was sent to the young ring that it was must not be under way then.
pub const RING_SHRINK_WAIT: Span = Span::from_secs(6);
/// How long the leader of a young ring may take to give one.
pub const RING_JOIN_WAIT: Span = Span::from_secs(10);
/// A leaving node waits so long for others to take what it keeps.
pub const RING_LEAVE_WAIT: Span = Span::from_secs(10);
/// Nodes that say they come before this one and wait to be looked at.
pub const RING_NOTIFIED_MAX: usize = 8;
/// Nodes that give copies of records and were found to be members, so that they are not asked each time.
pub const RING_GIVERS_MAX: usize = 64;
/// Lookups that a node has open at once.
pub const RING_LOOKUPS_MAX: usize = 1_024;
/// Records in one page.
pub const RING_PAGE_RECORDS_MAX: usize = 256;
/// Claims of holders that a node keeps: 1,000 nodes hold a million contents with three copies and three holders each.
pub const RING_CLAIMS_MAX: usize = 200_000;
/// And of one publisher's: what one holder has at one node if its contents are spread over even a few.
pub const RING_CLAIMS_PER_HOLDER_MAX: usize = 50_000;
/// Between two looks whether records are where they belong, and whether there is another ring.
pub const RING_AUDIT: Span = Span::from_secs(20);
/// The same of a node that came to a ring with records, until each has been looked after.
pub const RING_STRAYS: Span = Span::from_millis(250);
/// Keys that are looked after in one such look.
pub const RING_AUDIT_KEYS: usize = 16;
/// How often a record is offered to who was just said to own its key.
pub const RING_STORE_TRIES_MAX: u32 = 3;
/// Pages of records read of one node for one content.
pub const RING_FETCH_PAGES_MAX: u32 = 16;
/// Nodes to which a node has a connection at once: a thread each. A lookup asks few, and neighbours are always the same.
pub const RING_LINKS_MAX: usize = 256;
/// Questions that wait for one connection; what comes then is lost, and asked again.
pub const RING_LINK_QUEUE_MAX: usize = 256;
/// A connection without a question is closed after this: neighbours are asked more often.
pub const RING_LINK_IDLE: Span = Span::from_secs(10);
/// Who wants something of the ring waits so long for what became of it: several dead nodes on the way, one after another.
pub const RING_COMMAND_WAIT: Span = Span::from_secs(60);
/// Between two words of a holder to the ring about one content: two may be lost before it expires.
pub const RING_RENEW: Span = Span::from_secs(2_400);

/// Files that a node keeps because the ring placed them there: each is looked at again and again.
pub const RING_PLACED_MAX: usize = 10_000;
/// And their GiB: whoever puts files makes others keep them, so this is what strangers may cost a member.
pub const RING_PLACED_GIB_MAX: u64 = 64;
/// Of what the disk would have free without them, they take one part in so many at most.
pub const RING_PLACED_DISK_PART: u64 = 2;
/// Contents that wait to be fetched for the ring; of more, whoever puts them sees that nobody keeps them.
pub const RING_PLACED_WAITING_MAX: usize = 1_024;
/// How often such a content is tried to be fetched before it is left to others, until the ring speaks of it again.
pub const RING_PLACED_TRIES_MAX: u32 = 20;
/// The nodes that are to keep a file may take so long to fetch it, or to say that they do not: 10 GiB at 150 Mbit/s.
pub const RING_PUT_WAIT: Span = Span::from_secs(600);
/// How often who puts a file offers it to who was just said to own its key: nodes that come and go are done by then.
pub const RING_OFFERS_MAX: u32 = 20;

// --- a peer's own work ---

/// Between two looks at the shared directories, at least: with hashing, a change among some 100,000 files is registered
/// within 5 s.
pub const RESCAN: Span = Span::from_secs(1);
/// Looks are so many times as long apart as the last one took, but no longer than [`RESCAN_MAX`]: with a million files they
/// would be all we do.
pub const RESCAN_SPARING: u64 = 4;
/// The longest time between two looks.
pub const RESCAN_MAX: Span = Span::from_secs(30);
/// While a glance shows that nothing has changed a look is whole this often: what was hashed before it was surely on the
/// disk is remembered for good then.
pub const LOOK_WHOLE: Span = Span::from_secs(120);
/// Waiting before the RS is tried again after it failed.
pub const REJOIN_WAIT: Span = Span::from_secs(2);
/// A getter that the RS did not answer asks it for more holders, and tells it of lost ones, no earlier than after this.
pub const RS_SILENT: Span = Span::from_secs(30);
/// Between two rounds of asking other peers for their index, in mode gossip.
pub const GOSSIP_ROUND: Span = Span::from_secs(60);
/// Learned contents kept in mode gossip; the ones that end first go first.
pub const LEARNED_CONTENTS_MAX: usize = 1_000_000;
/// Holders remembered for one content.
pub const LEARNED_HOLDERS_MAX: usize = 256;
/// Pages read from one peer or RS in one listing: 1,024 entries each.
pub const PAGES_MAX: usize = 4_096;
/// Threads that hash: enough for a fast disk, and a machine with more cores has other work too.
pub const HASH_THREADS_MAX: usize = 16;
/// What one thread hashes of a file before it looks for something more urgent: a largest piece, a tenth of a second
/// from a slow disk.
pub const HASH_STRETCH_BYTES: u64 = PIECE_BYTES_MAX;
/// The file that remembers hashes: the values of 2 TiB where they are densest, and of far more in large files.
pub const HASH_CACHE_BYTES_MAX: u64 = 1 << 30;
/// Bytes read from a document to find its number and title.
pub const HEADING_BYTES: u64 = 8 * 1024;
/// Digits of an id after a name and an `@`: few to write, and less would often be part of the name.
pub const ID_PREFIX_DIGITS_MIN: usize = 4;
/// The encoding of one directory tree: about a million entries.
pub const TREE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// One paced step of a limited link lasts about this long: smooth, and few system calls.
pub const PACE_STEP: Span = Span::from_millis(5);
/// The smallest paced step: below it headers outweigh content.
pub const PACE_STEP_BYTES_MIN: u64 = 1_024;

// --- the simulator ---

/// Peers of a simulated swarm: more would not fit into the memory of a small machine.
pub const SIMULATED_PEERS_MAX: u64 = 10_000;
/// Pieces of a simulated content: that of 1 TiB has four times as many, and behaves no differently.
pub const SIMULATED_PIECES_MAX: u64 = 16_384;
/// Nodes of a simulated ring: each takes about 3 KiB.
pub const SIMULATED_RING_NODES_MAX: u64 = 2_000_000;
/// Lookups in a simulated ring.
pub const SIMULATED_LOOKUPS_MAX: u64 = 1_000_000;

// --- the load generator ---

/// Threads of a load: more than an RS has workers.
pub const LOAD_THREADS_MAX: u64 = 256;
/// Connections of a load: as many as one address has ports towards one RS.
pub const LOAD_CONNECTIONS_MAX: u64 = 60_000;
/// Requests under way on one connection of a load.
pub const LOAD_WINDOW_MAX: u64 = 4_096;
/// How long a load may last: a day.
pub const LOAD_SECS_MAX: u64 = 86_400;
/// Requests a second of a load, far above what one machine sends.
pub const LOAD_RATE_MAX: u64 = 100_000_000;
/// Contents that a load registers before it begins.
pub const LOAD_CONTENTS_MAX: u64 = 10_000_000;
/// The longest latency that is told from longer ones.
pub const LOAD_LATENCY_MAX: Span = Span::from_secs(120);
/// After a load's time is over, answers that are still to come are waited for so long.
pub const LOAD_DRAIN: Span = Span::from_secs(10);
/// And while it gets ready, or takes back what it registered, for so long.
pub const LOAD_SETUP: Span = Span::from_secs(600);
