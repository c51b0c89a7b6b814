//! Every verb of the DataStream API, through the harness: one module per kind of verb.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod common;
#[cfg(test)]
mod end_of_input;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod keyed_state;
#[cfg(test)]
mod operator_state;
#[cfg(test)]
mod overtaking;
#[cfg(test)]
mod partitioning;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod rolling;
#[cfg(test)]
mod side_outputs;
#[cfg(test)]
mod stateless;
#[cfg(test)]
mod timers;
#[cfg(test)]
mod ttl;
#[cfg(test)]
mod union;
#[cfg(test)]
mod upgrades;
#[cfg(test)]
mod watermarks;
#[cfg(test)]
mod windows;
