//! The queries that keep count of what came before each bid.

use flott::Result;
use flott::prelude::*;
use serde::{Deserialize, Serialize};

use super::queries::bids;
use super::{Bid, Event};

const MILLIS_OF_MINUTE: u64 = 60_000;
const MILLIS_OF_DAY: u64 = 24 * 60 * MILLIS_OF_MINUTE;

/// Of three ranks, which a price has: below 10,000, below 1,000,000, and above.
fn rank(price: u64) -> usize {
    usize::from(price >= 10_000) + usize::from(price >= 1_000_000)
}

/// How many: of all ranks, and of each.
type Numbers = [u64; 4];

/// What is known of the bids of a day.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Activity {
    bids: Numbers,
    bidders: Numbers,
    auctions: Numbers,
    /// Of the last bid, in the day.
    minute: u64,
}

impl Activity {
    /// A number that depends on all of its numbers.
    pub(super) fn digest(&self) -> u64 {
        let all = [self.bids, self.bidders, self.auctions];
        all.iter()
            .flatten()
            .fold(self.minute, |digest, number| digest.wrapping_mul(31).wrapping_add(*number))
    }
}

/// Bidder, auction, price and time.
type Brief = (u64, u64, u64, u64);

/// q15: bids, bidders and auctions of each day, after each bid.
pub(super) fn days(events: DataStream<Event>) -> DataStream<(u64, Activity)> {
    bids(events)
        .map(|bid| (bid.time / MILLIS_OF_DAY, (bid.bidder, bid.auction, bid.price, bid.time)))
        .key_by(|(day, _)| *day)
        .process(Daily::default())
}

/// Where bidders come from, and the day.
type Channel = (String, u64);

/// q16: bids, bidders and auctions of each channel and day, after each bid.
pub(super) fn channels(events: DataStream<Event>) -> DataStream<(Channel, Activity)> {
    bids(events)
        .map(|bid| {
            let day = bid.time / MILLIS_OF_DAY;
            ((bid.channel, day), (bid.bidder, bid.auction, bid.price, bid.time))
        })
        .key_by(|(channel, _)| channel.clone())
        .process(Daily::default())
}

#[derive(Clone, Default)]
struct Daily {
    activity: ValueState<Activity>,
    /// Who has bid: a bit for each rank.
    bidders: MapState<u64, u8>,
    /// What has bids: a bit for each rank.
    auctions: MapState<u64, u8>,
}

impl<K: Key> KeyedProcessFunction<K, (K, Brief), (K, Activity)> for Daily {
    fn open(&mut self, context: &mut KeyedContext<'_, K>) -> Result<()> {
        self.activity = context.value_state(ValueStateDescriptor::new("activity"))?;
        self.bidders = context.map_state(MapStateDescriptor::new("bidders"))?;
        self.auctions = context.map_state(MapStateDescriptor::new("auctions"))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        (key, (bidder, auction, price, time)): (K, Brief),
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<(K, Activity)>,
    ) -> Result<()> {
        let rank = rank(price);
        let bidder = note(self.bidders, bidder, rank, context)?;
        let auction = note(self.auctions, auction, rank, context)?;
        let activity = self.activity.get_or_insert_with(context, Activity::default)?;
        count(&mut activity.bids, rank, New { of_all: true, of_rank: true });
        count(&mut activity.bidders, rank, bidder);
        count(&mut activity.auctions, rank, auction);
        activity.minute = time % MILLIS_OF_DAY / MILLIS_OF_MINUTE;
        out.collect((key, activity.clone()));
        Ok(())
    }
}

/// Whether something has not been seen before.
struct New {
    of_all: bool,
    of_rank: bool,
}

/// Notes that something has been seen, and whether that is new.
fn note<K: Key>(
    map: MapState<u64, u8>,
    id: u64,
    rank: usize,
    context: &mut KeyedContext<'_, K>,
) -> Result<New> {
    let (seen, bit) = (map.get(context, &id)?.copied().unwrap_or(0), 1 << rank);
    let new = New { of_all: seen == 0, of_rank: seen & bit == 0 };
    if new.of_rank {
        map.put(context, id, seen | bit)?;
    }
    Ok(new)
}

fn count(numbers: &mut Numbers, rank: usize, new: New) {
    numbers[0] += u64::from(new.of_all);
    numbers[1 + rank] += u64::from(new.of_rank);
}

/// What is known of the bids for an auction in a day.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Statistics {
    auction: u64,
    day: u64,
    bids: u64,
    /// Of each rank.
    ranks: [u64; 3],
    pub(super) least: u64,
    pub(super) most: u64,
    pub(super) sum: u64,
}

/// q17: statistics of each auction and day, after each bid.
pub(super) fn statistics(events: DataStream<Event>) -> DataStream<Statistics> {
    bids(events)
        .map(|Bid { auction, price, time, .. }| {
            let mut ranks = [0; 3];
            ranks[rank(price)] = 1;
            let day = time / MILLIS_OF_DAY;
            Statistics { auction, day, bids: 1, ranks, least: price, most: price, sum: price }
        })
        .key_by(|own| (own.auction, own.day))
        .reduce(|all, new| {
            let ranks = [0, 1, 2].map(|rank: usize| all.ranks[rank] + new.ranks[rank]);
            let (least, most) = (all.least.min(new.least), all.most.max(new.most));
            Statistics { bids: all.bids + 1, ranks, least, most, sum: all.sum + new.sum, ..new }
        })
}

/// q18: the last bid of each bidder for each auction, whenever there is a new one.
pub(super) fn last_bids(events: DataStream<Event>) -> DataStream<Brief> {
    bids(events)
        .map(|bid| (bid.bidder, bid.auction, bid.price, bid.time))
        .key_by(|(bidder, auction, _, _)| (*bidder, *auction))
        .reduce(|last, new| if new.3 >= last.3 { new } else { *last })
}

/// q19: the ten highest bids of each auction: a bid that comes in among them.
pub(super) fn top_bids(events: DataStream<Event>) -> DataStream<u64> {
    bids(events)
        .map(|bid| (bid.auction, bid.price))
        .key_by(|(auction, _)| *auction)
        .process(Top::default())
}

#[derive(Clone, Default)]
struct Top(ValueState<Vec<u64>>);

impl KeyedProcessFunction<u64, (u64, u64), u64> for Top {
    fn open(&mut self, context: &mut KeyedContext<'_, u64>) -> Result<()> {
        self.0 = context.value_state(ValueStateDescriptor::new("top"))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        (_, price): (u64, u64),
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        let top = self.0.get_or_insert_with(context, Vec::new)?;
        let place = top.partition_point(|other| *other >= price);
        if place < 10 {
            top.insert(place, price);
            top.truncate(10);
            out.collect(price);
        }
        Ok(())
    }
}
