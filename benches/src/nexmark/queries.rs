//! The queries, as Flott jobs. What each gives is counted and added up: the check does not depend on an order. Here are
//! those that look at single bids, and those with windows.

use std::collections::BTreeMap;

use flott::prelude::*;
use flott::{Error, Result};

use super::joins::{
    Side, closing_prices, local_items, people_and_auctions, winning_bids, with_auctions,
};
use super::statistics::{channels, days, last_bids, statistics, top_bids};
use super::{Bid, Event, event};
use crate::events::mix;
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
        "q4" => closing_prices(all).watch(&seen, |(category, average)| category + average),
        "q5" => hot_items(all).watch(&seen, |(_, count, _)| *count),
        "q7" => highest_bids(all).watch(&seen, |price| *price),
        "q8" => new_sellers(all).watch(&seen, |seller| *seller),
        "q9" => winning_bids(all)
            .watch(&seen, |won| won.auction + won.category + won.price + won.bidder),
        "q11" => sessions(all).watch(&seen, |(bidder, count)| bidder * count),
        "q13" => bids(all)
            .process(SideInput::default())
            .watch(&seen, |(_, _, price, _, value)| price + value.len() as u64),
        "q14" => calculated(all)
            .watch(&seen, |(_, _, price, kind, _, letters)| price + kind.len() as u64 + letters),
        "q15" => days(all).watch(&seen, |(_, activity)| activity.digest()),
        "q16" => channels(all).watch(&seen, |(_, activity)| activity.digest()),
        "q17" => statistics(all).watch(&seen, |own| own.sum.wrapping_add(own.least + own.most)),
        "q18" => last_bids(all).watch(&seen, |(_, _, price, _)| *price),
        "q19" => top_bids(all).watch(&seen, |price| *price),
        "q20" => with_auctions(all).watch(&seen, |(bid, lot)| bid.price + lot.seller),
        "q21" => channel_ids(all).watch(&seen, |(_, _, price, _, id)| price + id.len() as u64),
        "q22" => {
            bids(all).map(folders).watch(&seen, |(folder, page)| (folder.len() + page.len()) as u64)
        }
        other => return Err(Error::invalid(format!("there is no query \"{other}\""))),
    }
    env.execute(query)?;
    Ok(seen.count().wrapping_mul(1_000_003).wrapping_add(seen.sum()))
}

pub(super) fn bids(events: DataStream<Event>) -> DataStream<Bid> {
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

/// Auction, bidder, price and time of a bid, and what the table has for it.
type Valued = (u64, u64, u64, u64, String);

/// q13: bids, each with a value of a table that every task has loaded.
#[derive(Clone, Default)]
struct SideInput(BTreeMap<u64, String>);

/// Rows of the table.
const ROWS: u64 = 10_000;

impl ProcessFunction<Bid, Valued> for SideInput {
    fn open(&mut self, _: &mut ProcessContext<'_>) -> Result<()> {
        let value = |key| ((mix(key) >> 1) % 1_000_000).to_string();
        self.0 = (0..ROWS).map(|key| (key, value(key))).collect();
        Ok(())
    }

    fn process_element(
        &mut self,
        Bid { auction, bidder, price, time, .. }: Bid,
        _: &mut ProcessContext<'_>,
        out: &mut Collector<Valued>,
    ) -> Result<()> {
        if let Some(value) = self.0.get(&(auction % ROWS)) {
            out.collect((auction, bidder, price, time, value.clone()));
        }
        Ok(())
    }
}

/// Auction, bidder, price, time of day, time, and how often there is a letter in what fills a bid up.
type Calculated = (u64, u64, u64, String, u64, u64);

/// q14: bids of some prices, with what is computed of them.
fn calculated(events: DataStream<Event>) -> DataStream<Calculated> {
    bids(events).map(in_euros).filter(|bid| bid.price > 1_000_000 && bid.price < 50_000_000).map(
        |Bid { auction, bidder, price, time, extra, .. }| {
            let kind = match time / 3_600_000 % 24 {
                8..=18 => "Day",
                7 | 19 => "Other",
                _ => "Night",
            };
            let letters = extra.bytes().filter(|letter| *letter == b'c').count() as u64;
            (auction, bidder, price, kind.to_owned(), time, letters)
        },
    )
}

/// q21: bids with the number of their channel: that of one that is known, or what the page says.
fn channel_ids(events: DataStream<Event>) -> DataStream<(u64, u64, u64, String, String)> {
    bids(events).flat_map(|Bid { auction, bidder, price, channel, url, .. }, out| {
        let id = match channel.to_lowercase().as_str() {
            "apple" => Some("0"),
            "google" => Some("1"),
            "facebook" => Some("2"),
            "baidu" => Some("3"),
            _ => url
                .split_once("&channel_id=")
                .map(|(_, rest)| rest.split_once('&').map_or(rest, |(id, _)| id)),
        };
        if let Some(id) = id {
            out.collect((auction, bidder, price, channel, id.to_owned()));
        }
    })
}

/// q22: parts of the page.
fn folders(bid: Bid) -> (String, String) {
    let mut parts = bid.url.split('/').skip(3);
    let mut next = || parts.next().unwrap_or_default().to_owned();
    (next(), next())
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
