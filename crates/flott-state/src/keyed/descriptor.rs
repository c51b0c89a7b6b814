//! How states are declared: a name, the types, and what they need.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use flott_core::Result;

use super::aggregating::AggregateFunction;
use super::ttl::StateTtlConfig;

/// Combines two values of a reducing state.
pub type ReduceFunction<V> = Arc<dyn Fn(&V, &V) -> Result<V> + Send + Sync>;

macro_rules! descriptor {
    ($(#[$doc:meta])* $name:ident<$($parameter:ident),+> { $($field:ident: $type:ty => $field_doc:literal),* }) => {
        $(#[$doc])*
        pub struct $name<$($parameter),+> {
            pub(super) name: String,
            pub(super) ttl: Option<StateTtlConfig>,
            $(pub(super) $field: $type,)*
            types: PhantomData<fn() -> ($($parameter,)+)>,
        }

        impl<$($parameter),+> $name<$($parameter),+> {
            /// Declares the state `name`, which is unique in its operator and identifies the state
            /// in snapshots.
            $(#[doc = $field_doc])*
            pub fn new(name: impl Into<String>, $($field: $type),*) -> Self {
                Self { name: name.into(), ttl: None, $($field,)* types: PhantomData }
            }

            /// Lets unused state expire.
            #[must_use]
            pub fn ttl(mut self, ttl: StateTtlConfig) -> Self {
                self.ttl = Some(ttl);
                self
            }
        }

        impl<$($parameter),+> Clone for $name<$($parameter),+> {
            fn clone(&self) -> Self {
                Self {
                    name: self.name.clone(),
                    ttl: self.ttl,
                    $($field: self.$field.clone(),)*
                    types: PhantomData,
                }
            }
        }

        impl<$($parameter),+> fmt::Debug for $name<$($parameter),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("name", &self.name)
                    .field("ttl", &self.ttl)
                    .finish_non_exhaustive()
            }
        }
    };
}

descriptor! {
    /// Declares a [`ValueState`](super::ValueState).
    ValueStateDescriptor<V> {}
}

descriptor! {
    /// Declares a [`ListState`](super::ListState).
    ListStateDescriptor<V> {}
}

descriptor! {
    /// Declares a [`MapState`](super::MapState).
    MapStateDescriptor<UK, UV> {}
}

descriptor! {
    /// Declares a [`ReducingState`](super::ReducingState).
    ReducingStateDescriptor<V> {
        function: ReduceFunction<V> => "`function` combines what is there with what is added."
    }
}

descriptor! {
    /// Declares an [`AggregatingState`](super::AggregatingState).
    AggregatingStateDescriptor<IN, ACC, OUT> {
        function: Arc<dyn AggregateFunction<IN, ACC, OUT>> => "`function` keeps the accumulator."
    }
}
