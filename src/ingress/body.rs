//! Reading a body: at most so many bytes of one, and at most so many bytes of
//! all that are under way.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoBody {
    #[error("the body is over the limit")]
    TooLarge,
    #[error("too many bytes under way")]
    NoRoom,
    #[error("the body ended before its end")]
    Broken,
}

/// The bytes under way: read from strangers and not yet durable. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// Bytes taken now.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether so many bytes would fit now. They are taken only as they
    /// arrive: a declared length that never comes must not shut others out.
    fn has_room(&self, bytes: usize, bytes_max: usize) -> bool {
        self.0
            .load(Ordering::Relaxed)
            .checked_add(bytes)
            .is_some_and(|sum| sum <= bytes_max)
    }

    /// An empty share, to be grown as bytes arrive.
    fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            bytes: 0,
        }
    }
}

/// A part of the budget, given back when dropped. It is held until the event is durable.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    bytes: usize,
}

impl Share {
    /// Grows to `bytes`, if the whole stays within `bytes_max`.
    fn grow(&mut self, bytes: usize, bytes_max: usize) -> Result<(), NoBody> {
        let more = bytes.saturating_sub(self.bytes);
        let fits = |used: usize| used.checked_add(more).filter(|sum| *sum <= bytes_max);
        match self
            .budget
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
        {
            Ok(_before) => {
                self.bytes += more;
                Ok(())
            }
            Err(_full) => Err(NoBody::NoRoom),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads a whole body of at most `body_max` bytes within a budget of
/// `in_flight_max` bytes. A declared length is judged before a byte is read
/// (so that `Expect: 100-continue` is answered with the refusal).
pub(super) async fn read<B>(
    body: B,
    declared: Option<u64>,
    body_max: usize,
    budget: &Budget,
    in_flight_max: usize,
) -> Result<(Bytes, Share), NoBody>
where
    B: Body<Data = Bytes>,
{
    let declared = match declared.map(usize::try_from) {
        Some(Ok(bytes)) if bytes <= body_max => Some(bytes),
        Some(_) => return Err(NoBody::TooLarge),
        None => None,
    };
    let mut share = budget.share();
    if !budget.has_room(declared.unwrap_or(0), in_flight_max) {
        return Err(NoBody::NoRoom);
    }
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(NoBody::Broken);
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let sum = first.len() + rest.len() + data.len();
        if sum > body_max {
            return Err(NoBody::TooLarge);
        }
        share.grow(sum, in_flight_max)?;
        // Most bodies come in one piece, which is kept as it is.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                // Not all that was declared: a liar would get memory for nothing.
                rest.reserve(declared.unwrap_or(0).min(4 * sum).max(sum));
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    let whole = if first.len() <= COPIED_BYTES_MAX && rest.is_empty() {
        // A slice would keep all of the buffer it was read into, and the next
        // request would need a new one.
        Bytes::copy_from_slice(&first)
    } else if rest.is_empty() {
        first
    } else {
        rest.freeze()
    };
    Ok((whole, share))
}

/// A body that is smaller than the buffers it is read into.
const COPIED_BYTES_MAX: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;

    use super::*;

    /// Bytes in pieces.
    struct Pieces(Vec<&'static [u8]>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let next = (!self.0.is_empty()).then(|| self.0.remove(0));
            Poll::Ready(next.map(|piece| Ok(Frame::data(Bytes::from_static(piece)))))
        }
    }

    async fn check(
        pieces: &[&'static [u8]],
        declared: Option<u64>,
        in_flight_max: usize,
        expected: Result<&[u8], NoBody>,
    ) {
        let budget = Budget::default();
        let read = read(Pieces(pieces.to_vec()), declared, 6, &budget, in_flight_max).await;
        match (read, expected) {
            (Ok((body, share)), Ok(expected)) => {
                assert_eq!(body, expected);
                assert_eq!(budget.used(), body.len());
                drop(share);
            }
            (read, expected) => assert_eq!(
                read.map(|(body, _)| body).err(),
                expected.err(),
                "{pieces:?}"
            ),
        }
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_body_is_read_within_its_limit_and_the_budget() {
        check(&[b"abc"], Some(3), 100, Ok(b"abc")).await;
        check(&[b"abc", b"de", b"f"], None, 100, Ok(b"abcdef")).await;
        check(&[b"abc", b"de", b"f"], Some(6), 6, Ok(b"abcdef")).await;
        check(&[], Some(0), 0, Ok(b"")).await;
        check(&[], Some(7), 100, Err(NoBody::TooLarge)).await;
        check(&[], Some(u64::MAX), 100, Err(NoBody::TooLarge)).await;
        check(&[b"abc", b"defg"], None, 100, Err(NoBody::TooLarge)).await;
        check(&[b"abc"], Some(3), 2, Err(NoBody::NoRoom)).await;
        check(&[b"abc", b"def"], None, 5, Err(NoBody::NoRoom)).await;
    }

    #[tokio::test]
    async fn a_small_body_leaves_the_buffer_it_was_read_into() {
        for (bytes, leaves) in [(COPIED_BYTES_MAX, true), (COPIED_BYTES_MAX + 1, false)] {
            let (buffer, budget) = (Bytes::from(vec![b'a'; 8 << 10]), Budget::default());
            let body = http_body_util::Full::new(buffer.slice(..bytes));
            let (whole, _share) = read(body, None, 8 << 10, &budget, 8 << 10).await.unwrap();
            assert_eq!(whole.len(), bytes);
            assert_eq!(buffer.is_unique(), leaves, "{bytes}");
        }
    }
}
