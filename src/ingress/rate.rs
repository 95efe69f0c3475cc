//! A source's own rate: a token bucket over tokio's clock, kept by name so
//! that a reload does not refill it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::decode::Rate;
use crate::event::SourceName;

/// All buckets; at most one per name that was ever configured.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<HashMap<SourceName, Bucket>>);

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Rates {
    /// Takes one token, or says how long until there is one. A bucket holds
    /// what one second brings, and at least one.
    pub(super) fn take(&self, source: &SourceName, rate: Rate) -> Result<(), Duration> {
        let burst = rate.per_second.max(1.0);
        let now = Instant::now();
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(source) {
            buckets.insert(
                source.clone(),
                Bucket {
                    tokens: burst,
                    filled_at: now,
                },
            );
        }
        let Some(bucket) = buckets.get_mut(source) else {
            return Ok(());
        };
        let brought = now.duration_since(bucket.filled_at).as_secs_f64() * rate.per_second;
        bucket.tokens = (bucket.tokens + brought).min(burst);
        bucket.filled_at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - bucket.tokens) / rate.per_second;
        Err(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_source_gets_its_rate_and_not_more() {
        let (rates, source) = (Rates::default(), SourceName::from("shop"));
        let rate = Rate { per_second: 5.0 };
        let granted = |rates: &Rates| {
            (0..20)
                .filter(|_| rates.take(&source, rate).is_ok())
                .count()
        };
        assert_eq!(granted(&rates), 5);
        assert_eq!(rates.take(&source, rate), Err(Duration::from_millis(200)));
        assert_eq!(rates.take(&SourceName::from("other"), rate), Ok(()));
        tokio::time::advance(Duration::from_millis(600)).await;
        assert_eq!(granted(&rates), 3);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(granted(&rates), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_below_one_a_second_lets_one_pass_at_a_time() {
        let (rates, source) = (Rates::default(), SourceName::from("shop"));
        let rate = Rate { per_second: 0.1 };
        assert_eq!(rates.take(&source, rate), Ok(()));
        assert_eq!(rates.take(&source, rate), Err(Duration::from_secs(10)));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(rates.take(&source, rate), Ok(()));
    }
}
