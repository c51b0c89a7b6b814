//! The queries, as Flott jobs. What each gives is counted and added up: the check does not depend on an order.

use flott::prelude::*;
use flott::{Error, Result};

use super::{Auction, Bid, Event, Person, event};
use crate::workloads::{Count, Run, Seen, Watch};

/// Runs a query over so many events.
///
/// # Errors
/// If there is no such query, or the job fails.
pub fn run(query: &str, events: u64, run: &Run) -> Result<u64> {
    let env = run.environment()?;
    let seen = Seen::default();
    let all = env.generate("events", Some(events), event);
    match query {
        "q0" => bids(all).watch(&seen, |bid| bid.price),
        "q1" => bids(all).map(in_euros).watch(&seen, |bid| bid.price),
        "q2" => bids(all)
            .filter(|bid| bid.auction % 123 == 0)
            .map(|bid| (bid.auction, bid.price))
            .watch(&seen, |(auction, price)| auction + price),
        "q3" => local_items(all).watch(&seen, |(seller, auction)| seller + auction),
        "q5" => hot_items(all).watch(&seen, |(_, count, _)| *count),
        "q7" => highest_bids(all).watch(&seen, |price| *price),
        "q8" => new_sellers(all).watch(&seen, |seller| *seller),
        "q11" => sessions(all).watch(&seen, |(bidder, count)| bidder * count),
        "q17" => statistics(all).watch(&seen, |own| own.sum.wrapping_add(own.least + own.most)),
        "q18" => last_bids(all).watch(&seen, |(_, _, price, _)| *price),
        "q19" => top_bids(all).watch(&seen, |price| *price),
        "q22" => {
            bids(all).map(folders).watch(&seen, |(folder, page)| (folder.len() + page.len()) as u64)
        }
        other => return Err(Error::invalid(format!("there is no query \"{other}\""))),
    }
    env.execute(query)?;
    Ok(seen.count().wrapping_mul(1_000_003).wrapping_add(seen.sum()))
}

fn bids(events: DataStream<Event>) -> DataStream<Bid> {
    events.flat_map(|event, out| {
        if let Event::Bid(bid) = event {
            out.collect(bid);
        }
    })
}

/// Bids with watermarks, of which only what is asked for goes on.
fn timed<T: Data>(
    bids: DataStream<Bid>,
    of: impl Fn(Bid) -> T + Clone + Send + Sync + 'static,
) -> DataStream<T> {
    let times = WatermarkStrategy::for_monotonous_timestamps();
    bids.assign_timestamps_and_watermarks(
        times.with_timestamp_assigner(|bid: &Bid| bid.time as i64),
    )
    .map(of)
}

fn in_euros(mut bid: Bid) -> Bid {
    bid.price = bid.price * 908 / 1000;
    bid
}

/// q22: parts of the page.
fn folders(bid: Bid) -> (String, String) {
    let mut parts = bid.url.split('/').skip(3);
    let mut next = || parts.next().unwrap_or_default().to_owned();
    (next(), next())
}

/// Somebody, or what somebody sells.
type Side = (u64, Option<u64>);

/// People and auctions, by who it is.
fn people_and_auctions(
    events: DataStream<Event>,
    wanted: fn(&Person) -> bool,
    offered: fn(&Auction) -> bool,
) -> DataStream<(Side, u64)> {
    events.flat_map(move |event, out| match event {
        Event::Person(person) if wanted(&person) => out.collect(((person.id, None), person.time)),
        Event::Auction(auction) if offered(&auction) => {
            out.collect(((auction.seller, Some(auction.id)), auction.time));
        }
        Event::Person(_) | Event::Auction(_) | Event::Bid(_) => {}
    })
}

/// q3: what people of three states sell in category 10, whoever comes first.
fn local_items(events: DataStream<Event>) -> DataStream<(u64, u64)> {
    let is_near = |person: &Person| matches!(person.state.as_str(), "OR" | "ID" | "CA");
    people_and_auctions(events, is_near, |auction| auction.category == 10)
        .key_by(|((seller, _), _)| *seller)
        .process(Join::default())
}

#[derive(Clone, Default)]
struct Join {
    /// Whether the person is there.
    person: ValueState<bool>,
    /// What waits for the person.
    auctions: ListState<u64>,
}

impl KeyedProcessFunction<u64, (Side, u64), (u64, u64)> for Join {
    fn open(&mut self, context: &mut KeyedContext<'_, u64>) -> Result<()> {
        self.person = context.value_state(ValueStateDescriptor::new("person"))?;
        self.auctions = context.list_state(ListStateDescriptor::new("auctions"))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        ((seller, auction), _): (Side, u64),
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<(u64, u64)>,
    ) -> Result<()> {
        match auction {
            Some(auction) if self.person.get(context)?.is_some() => out.collect((seller, auction)),
            Some(auction) => self.auctions.add(context, auction)?,
            None => {
                self.person.update(context, true)?;
                self.auctions
                    .get(context)?
                    .iter()
                    .for_each(|auction| out.collect((seller, *auction)));
                self.auctions.clear(context)?;
            }
        }
        Ok(())
    }
}

/// q5: which auction had most bids in ten seconds, every two.
fn hot_items(events: DataStream<Event>) -> DataStream<(i64, u64, u64)> {
    timed(bids(events), |bid| bid.auction)
        .key_by(|auction| *auction)
        .window(SlidingEventTimeWindows::of(seconds(10), seconds(2)))
        .aggregate_with(
            Count,
            |auction: &u64, context: &WindowContext, counts: &[u64], out: &mut Collector<_>| {
                let end = context.window().end.0;
                counts.iter().for_each(|count| out.collect((end, *count, *auction)));
                Ok(())
            },
        )
        .key_by(|(end, _, _)| *end)
        .window(TumblingEventTimeWindows::of(seconds(2)))
        .max_by(|(_, count, _)| *count)
}

/// q7: the highest bid of each ten seconds.
fn highest_bids(events: DataStream<Event>) -> DataStream<u64> {
    timed(bids(events), |bid| bid.price)
        .key_by(|_| 0u8)
        .window(TumblingEventTimeWindows::of(seconds(10)))
        .max(|price| price)
}

/// q8: who is new and sells something within the same ten seconds.
fn new_sellers(events: DataStream<Event>) -> DataStream<u64> {
    let times = WatermarkStrategy::for_monotonous_timestamps();
    people_and_auctions(events, |_| true, |_| true)
        .assign_timestamps_and_watermarks(
            times.with_timestamp_assigner(|(_, time): &(Side, u64)| *time as i64),
        )
        .map(|((id, auction), _)| (id, if auction.is_some() { 2u8 } else { 1 }))
        .key_by(|(id, _)| *id)
        .window(TumblingEventTimeWindows::of(seconds(10)))
        .reduce(|a, b| (a.0, a.1 | b.1))
        .filter(|(_, sides)| *sides == 3)
        .map(|(id, _)| id)
}

/// q11: how often somebody bids before a pause of ten seconds.
fn sessions(events: DataStream<Event>) -> DataStream<(u64, u64)> {
    timed(bids(events), |bid| (bid.bidder, 1u64))
        .key_by(|(bidder, _)| *bidder)
        .window(EventTimeSessionWindows::with_gap(seconds(10)))
        .sum(|(_, count)| count)
}

/// What is known of the bids for an auction in a day.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Statistics {
    auction: u64,
    day: u64,
    bids: u64,
    /// Below 10,000, below 1,000,000, and above.
    ranks: [u64; 3],
    least: u64,
    most: u64,
    sum: u64,
}

/// q17: statistics of each auction and day, after each bid.
fn statistics(events: DataStream<Event>) -> DataStream<Statistics> {
    bids(events)
        .map(|Bid { auction, price, time, .. }| {
            let rank = usize::from(price >= 10_000) + usize::from(price >= 1_000_000);
            let mut ranks = [0; 3];
            ranks[rank] = 1;
            let day = time / 86_400_000;
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
fn last_bids(events: DataStream<Event>) -> DataStream<(u64, u64, u64, u64)> {
    bids(events)
        .map(|bid| (bid.bidder, bid.auction, bid.price, bid.time))
        .key_by(|(bidder, auction, _, _)| (*bidder, *auction))
        .reduce(|last, new| if new.3 >= last.3 { new } else { *last })
}

/// q19: the ten highest bids of each auction: a bid that comes in among them.
fn top_bids(events: DataStream<Event>) -> DataStream<u64> {
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
