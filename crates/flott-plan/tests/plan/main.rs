//! Programs in, job graphs out.

#[cfg(test)]
mod chaining;
#[cfg(test)]
mod execution;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod job_graph;
#[cfg(test)]
mod program;
