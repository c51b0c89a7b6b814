//! The queries that bring people, auctions and bids together, whoever comes first.

use std::cmp::Reverse;

use flott::Result;
use flott::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Auction, Bid, Event, Person};

/// Somebody, or what somebody sells.
pub(super) type Side = (u64, Option<u64>);

/// People and auctions, by who it is.
pub(super) fn people_and_auctions(
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
pub(super) fn local_items(events: DataStream<Event>) -> DataStream<(u64, u64)> {
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

/// What happens to an auction: it begins, or somebody bids.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Step<B> {
    Begin(Lot),
    Bid(B),
}

/// An auction without what fills it up.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Lot {
    pub(super) seller: u64,
    pub(super) category: u64,
    pub(super) reserve: u64,
    pub(super) time: u64,
    pub(super) expires: u64,
}

/// Auctions and what is wanted of their bids, by auction.
fn auctions_and_bids<B: Data>(
    events: DataStream<Event>,
    of: fn(Bid) -> B,
) -> DataStream<(u64, Step<B>)> {
    events.flat_map(move |event, out| match event {
        Event::Auction(Auction { id, seller, category, reserve, time, expires, .. }) => {
            out.collect((id, Step::Begin(Lot { seller, category, reserve, time, expires })));
        }
        Event::Bid(bid) => out.collect((bid.auction, Step::Bid(of(bid)))),
        Event::Person(_) => {}
    })
}

/// q4: the average price at which auctions of a category close in ten seconds, every two.
pub(super) fn closing_prices(events: DataStream<Event>) -> DataStream<(u64, u64)> {
    winning_bids(events)
        .map(|won| (won.category, won.price))
        .key_by(|(category, _)| *category)
        .window(SlidingEventTimeWindows::of(seconds(10), seconds(2)))
        .aggregate_with(
            Average,
            |category: &u64, _: &WindowContext, averages: &[u64], out: &mut Collector<_>| {
                averages.iter().for_each(|average| out.collect((*category, *average)));
                Ok(())
            },
        )
}

/// The average of the prices of a category.
struct Average;

impl AggregateFunction<(u64, u64), (u64, u64), u64> for Average {
    fn create_accumulator(&self) -> Result<(u64, u64)> {
        Ok((0, 0))
    }

    fn add(&self, (sum, count): &mut (u64, u64), (_, price): (u64, u64)) -> Result<()> {
        *sum += price;
        *count += 1;
        Ok(())
    }

    fn get_result(&self, (sum, count): &(u64, u64)) -> Result<u64> {
        Ok(sum / count)
    }

    fn merge(&self, a: (u64, u64), b: (u64, u64)) -> Result<(u64, u64)> {
        Ok((a.0 + b.0, a.1 + b.1))
    }
}

/// The bid that wins an auction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Won {
    pub(super) auction: u64,
    pub(super) category: u64,
    pub(super) price: u64,
    pub(super) bidder: u64,
}

/// What counts of a bid.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Offer {
    bidder: u64,
    price: u64,
    time: u64,
}

/// q9: the highest bid of each auction while it is open.
pub(super) fn winning_bids(events: DataStream<Event>) -> DataStream<Won> {
    let times = WatermarkStrategy::for_monotonous_timestamps();
    let events = events.assign_timestamps_and_watermarks(
        times.with_timestamp_assigner(|event: &Event| event.time() as i64),
    );
    auctions_and_bids(events, |Bid { bidder, price, time, .. }| Offer { bidder, price, time })
        .key_by(|(auction, _)| *auction)
        .process(Winner::default())
}

/// An auction that has begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Open {
    lot: Lot,
    best: Option<Offer>,
}

impl Open {
    /// The higher price wins, then who was first, then the lower bidder: in which order offers come does not matter.
    fn offer(&mut self, new: Offer) {
        let rank = |offer: Offer| (offer.price, Reverse(offer.time), Reverse(offer.bidder));
        let is_in_time = (self.lot.time..self.lot.expires).contains(&new.time);
        if is_in_time && self.best.is_none_or(|best| rank(new) > rank(best)) {
            self.best = Some(new);
        }
    }
}

#[derive(Clone, Default)]
struct Winner {
    open: ValueState<Open>,
    /// Offers that have come before the auction, or after its end.
    waiting: ListState<Offer>,
}

impl KeyedProcessFunction<u64, (u64, Step<Offer>), Won> for Winner {
    fn open(&mut self, context: &mut KeyedContext<'_, u64>) -> Result<()> {
        self.open = context.value_state(ValueStateDescriptor::new("open"))?;
        self.waiting = context.list_state(ListStateDescriptor::new("waiting"))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        (_, step): (u64, Step<Offer>),
        context: &mut KeyedContext<'_, u64>,
        _: &mut Collector<Won>,
    ) -> Result<()> {
        match step {
            Step::Begin(lot) => {
                let mut open = Open { lot, best: None };
                self.waiting.get(context)?.iter().for_each(|offer| open.offer(*offer));
                self.waiting.clear(context)?;
                self.open.update(context, open)?;
                context.register_event_time_timer(Timestamp(lot.expires as i64))
            }
            Step::Bid(offer) => {
                if let Some(open) = self.open.get_mut(context)? {
                    open.offer(offer);
                    return Ok(());
                }
                self.waiting.add(context, offer)?;
                context.register_event_time_timer(Timestamp(offer.time as i64))
            }
        }
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<Won>,
    ) -> Result<()> {
        let time = timer.timestamp.0 as u64;
        let auction = *context.current_key()?;
        match self.open.get(context)? {
            Some(Open { lot, best }) if lot.expires <= time => {
                if let Some(Offer { bidder, price, .. }) = *best {
                    out.collect(Won { auction, category: lot.category, price, bidder });
                }
                self.open.clear(context)
            }
            Some(_) => Ok(()),
            None => {
                // An auction that is not there by now begins later than these offers, or is over: they never count.
                let waiting = self.waiting.get(context)?.iter();
                let later = waiting.filter(|offer| offer.time > time).copied().collect();
                self.waiting.update(context, later)
            }
        }
    }
}

/// q20: bids with their auction, if that is of category 10, whichever comes first.
pub(super) fn with_auctions(events: DataStream<Event>) -> DataStream<(Bid, Lot)> {
    auctions_and_bids(events, |bid| bid)
        .key_by(|(auction, _)| *auction)
        .process(WithAuction::default())
}

#[derive(Clone, Default)]
struct WithAuction {
    /// Also if nobody wants it: else its bids would wait.
    lot: ValueState<Lot>,
    /// What waits for the auction.
    bids: ListState<Bid>,
}

impl KeyedProcessFunction<u64, (u64, Step<Bid>), (Bid, Lot)> for WithAuction {
    fn open(&mut self, context: &mut KeyedContext<'_, u64>) -> Result<()> {
        self.lot = context.value_state(ValueStateDescriptor::new("lot"))?;
        self.bids = context.list_state(ListStateDescriptor::new("bids"))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        (_, step): (u64, Step<Bid>),
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<(Bid, Lot)>,
    ) -> Result<()> {
        let is_wanted = |lot: &Lot| lot.category == 10;
        match step {
            Step::Begin(lot) => {
                if is_wanted(&lot) {
                    let bids = self.bids.get(context)?.iter();
                    bids.for_each(|bid| out.collect((bid.clone(), lot)));
                }
                self.bids.clear(context)?;
                self.lot.update(context, lot)
            }
            Step::Bid(bid) => {
                match self.lot.get(context)? {
                    Some(lot) if is_wanted(lot) => out.collect((bid, *lot)),
                    Some(_) => {}
                    None => self.bids.add(context, bid)?,
                }
                Ok(())
            }
        }
    }
}
