//! Nexmark: events of an auction house, and queries over them. The events follow the published definition (Tucker,
//! Tufte, Papadimos, Maier: NEXMark, 2002, with the proportions, the lead of identifiers and the hot ones of Apache
//! Beam's generator): of fifty events one is a person, three are auctions, the rest bids. Every event is a pure
//! function of its index, with a random number of our own, so that `flink/NexmarkEvents.java` makes the same.

mod joins;
mod queries;
mod statistics;

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::events::mix;

pub use queries::run;

/// What happens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    /// Somebody is new.
    Person(Person),
    /// Something is for sale.
    Auction(Auction),
    /// Somebody wants it.
    Bid(Bid),
}

/// Somebody.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Person {
    /// Who it is.
    pub id: u64,
    /// First and last name.
    pub name: String,
    /// Where.
    pub city: String,
    /// In which state that is.
    pub state: String,
    /// When, in milliseconds.
    pub time: u64,
    /// Fills the event up to its size.
    pub extra: String,
}

/// Something for sale.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Auction {
    /// Which one.
    pub id: u64,
    /// Who sells it.
    pub seller: u64,
    /// Of what kind it is: 10 to 14.
    pub category: u64,
    /// What it is to cost at least.
    pub reserve: u64,
    /// When, in milliseconds.
    pub time: u64,
    /// From when on bids do not count any more, in milliseconds.
    pub expires: u64,
    /// Fills the event up to its size.
    pub extra: String,
}

/// An offer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bid {
    /// For what.
    pub auction: u64,
    /// Who offers.
    pub bidder: u64,
    /// How much, in cents.
    pub price: u64,
    /// Where the bidder comes from.
    pub channel: String,
    /// The page.
    pub url: String,
    /// When, in milliseconds.
    pub time: u64,
    /// Fills the event up to its size.
    pub extra: String,
}

impl Event {
    /// When, in milliseconds.
    fn time(&self) -> u64 {
        match self {
            Self::Person(Person { time, .. })
            | Self::Auction(Auction { time, .. })
            | Self::Bid(Bid { time, .. }) => *time,
        }
    }
}

const FIRST_ID: u64 = 1000;
const TOTAL: u64 = 50;
const PERSONS: u64 = 1;
const AUCTIONS: u64 = 3;
/// So many auctions are open, and so many people take part.
const OPEN: u64 = 100;
const ACTIVE: u64 = 1000;
/// So many identifiers ahead of those that are known are used, too.
const LEAD: u64 = 10;
/// Events in a millisecond of event time.
const PER_MILLI: u64 = 10;
/// Milliseconds in which so many auctions begin as are open.
const OPEN_MILLIS: u64 = OPEN * TOTAL / AUCTIONS / PER_MILLI;

const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const CITIES: [&str; 6] = ["Phoenix", "Los Angeles", "Boise", "Portland", "Seattle", "Cheyenne"];
const FIRST: [&str; 6] = ["Peter", "Paul", "Luke", "John", "Saul", "Vicky"];
const LAST: [&str; 6] = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton"];
const CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];

/// Letters that events are filled up with.
static FILLING: LazyLock<String> =
    LazyLock::new(|| (0..4096).map(|index| char::from(b'a' + (mix(index) % 26) as u8)).collect());

/// Random numbers of one event.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        (mix(self.0) >> 1) % limit
    }

    /// Over six orders of magnitude.
    fn price(&mut self) -> u64 {
        let magnitude = 10u64.pow(self.below(6) as u32);
        (1 + self.below(9)) * magnitude * 100 + self.below(100 * magnitude)
    }

    fn filling(&mut self, length: usize) -> String {
        let start = self.below(4096 - 512) as usize;
        FILLING[start..start + length].to_owned()
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }
}

/// The last person so far, from 0.
fn last_person(index: u64) -> u64 {
    index / TOTAL
}

/// The last auction so far, from 0.
fn last_auction(index: u64) -> u64 {
    let (epoch, offset) = (index / TOTAL, index % TOTAL);
    if offset < PERSONS {
        return (epoch * AUCTIONS).saturating_sub(1);
    }
    epoch * AUCTIONS + (offset - PERSONS).min(AUCTIONS - 1)
}

/// Somebody who takes part.
fn some_person(index: u64, random: &mut Random) -> u64 {
    let all = last_person(index) + 1;
    let active = all.min(ACTIVE);
    all - active + random.below(active + LEAD)
}

/// An auction that is open.
fn some_auction(index: u64, random: &mut Random) -> u64 {
    let last = last_auction(index);
    let first = last.saturating_sub(OPEN);
    first + random.below(last - first + 1 + LEAD)
}

/// The event of an index.
pub fn event(index: u64) -> Event {
    let (mut random, offset, time) = (Random(mix(index)), index % TOTAL, index / PER_MILLI);
    if offset < PERSONS {
        let name = [random.of(&FIRST), " ", random.of(&LAST)].concat();
        let place = random.below(STATES.len() as u64) as usize;
        Event::Person(Person {
            id: FIRST_ID + last_person(index),
            name,
            city: CITIES[place].to_owned(),
            state: STATES[place].to_owned(),
            time,
            extra: random.filling(150),
        })
    } else if offset < PERSONS + AUCTIONS {
        let hot = random.below(4) > 0;
        let seller =
            if hot { last_person(index) / 100 * 100 } else { some_person(index, &mut random) };
        Event::Auction(Auction {
            id: FIRST_ID + last_auction(index),
            seller: FIRST_ID + seller,
            category: 10 + random.below(5),
            reserve: random.price(),
            time,
            extra: random.filling(450),
            // The last to be drawn. Most auctions have bids by then: those that are open get most of them.
            expires: time + 1 + random.below(2 * OPEN_MILLIS),
        })
    } else {
        Event::Bid(bid(index, time, &mut random))
    }
}

fn bid(index: u64, time: u64, random: &mut Random) -> Bid {
    let hot = random.below(2) > 0;
    let auction = if hot { last_auction(index) / 100 * 100 } else { some_auction(index, random) };
    let hot = random.below(4) > 0;
    let bidder = if hot { last_person(index) / 100 * 100 + 1 } else { some_person(index, random) };
    let price = random.price();
    let mut url = String::with_capacity(80);
    let (channel, number) = if random.below(2) > 0 {
        (random.of(&CHANNELS).to_owned(), None)
    } else {
        let number = random.below(10_000);
        (["channel-", itoa::Buffer::new().format(number)].concat(), Some(number))
    };
    url.push_str("https://www.nexmark.com/");
    url.push_str(&channel);
    url.push_str("/item.htm?query=");
    url.push_str(itoa::Buffer::new().format(random.below(1000)));
    let extra = random.filling(40);
    if let Some(number) = number
        && random.below(10) > 0
    {
        url.push_str("&channel_id=");
        url.push_str(itoa::Buffer::new().format(number));
    }
    Bid { auction: FIRST_ID + auction, bidder: FIRST_ID + bidder, price, channel, url, time, extra }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::Run;

    #[test]
    fn events_have_their_shares_and_refer_to_what_is_there_or_soon_will_be() {
        let (mut persons, mut auctions, mut bids) = (0, 0, 0);
        for index in 0..50_000 {
            match event(index) {
                Event::Person(person) => {
                    assert_eq!(person.id, FIRST_ID + persons);
                    persons += 1;
                }
                Event::Auction(auction) => {
                    assert_eq!(auction.id, FIRST_ID + auctions);
                    assert!(auction.seller <= FIRST_ID + persons + LEAD);
                    auctions += 1;
                }
                Event::Bid(bid) => {
                    assert!(bid.auction <= FIRST_ID + auctions + LEAD);
                    assert!((100..200_000_000).contains(&bid.price));
                    bids += 1;
                }
            }
        }
        assert_eq!((persons, auctions, bids), (1000, 3000, 46_000));
    }

    #[test]
    fn queries_have_the_results_that_flink_has() {
        // What `flink/Nexmark.java` has on Flink 2.3.
        let results = [
            ("q0", 3_087_405_122_715),
            ("q1", 2_828_755_790_175),
            ("q2", 19_215_606_881),
            ("q3", 1_493_598_174),
            ("q4", 3_982_960_513),
            ("q5", 19_015_783),
            ("q7", 302_985_264),
            ("q8", 2_642_806_352),
            ("q9", 671_779_068_775),
            ("q11", 6_988_333_838),
            ("q13", 3_087_406_756_493),
            ("q14", 976_826_493_153),
            ("q15", 6_131_661_620_182_195_037),
            ("q16", 12_980_778_139_702_994_353),
            ("q17", 569_950_573_735_727),
            // Each bid is the last one when it comes.
            ("q18", 3_087_405_122_715),
            ("q19", 2_030_891_760_187),
            ("q20", 528_367_919_687),
            ("q21", 2_931_526_241_537),
            ("q22", 276_010_210_092),
        ];
        for (query, expected) in results {
            // These give a result for each bid, which says what came before.
            let has_order = ["q15", "q16", "q17", "q18", "q19"].contains(&query);
            for parallelism in if has_order { &["1"][..] } else { &["1", "2"] } {
                let job = Run::default().with("parallelism.default", *parallelism);
                assert_eq!(run(query, 300_000, &job).unwrap(), expected, "{query}, {parallelism}");
            }
        }
    }
}
