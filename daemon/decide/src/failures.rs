//! When something that fails again and again is not tried any more.

use std::collections::VecDeque;

/// Failures within a window of time.
#[derive(Debug, Clone)]
pub struct FailureWindow {
    limit: usize,
    window_ms: i64,
    at_ms: VecDeque<i64>,
}

impl FailureWindow {
    /// `limit` failures in `window_ms` are too many.
    pub fn new(limit: usize, window_ms: i64) -> FailureWindow {
        FailureWindow {
            limit,
            window_ms,
            at_ms: VecDeque::new(),
        }
    }

    /// Counts a failure. Returns how many there were in the window if that is too many; the count begins anew then.
    pub fn record(&mut self, now_ms: i64) -> Option<u32> {
        self.at_ms.push_back(now_ms);
        // A clock that was set back makes old failures look future: they leave by number then, not by age.
        while self.at_ms.front().is_some_and(|first| now_ms - first > self.window_ms) {
            self.at_ms.pop_front();
        }
        (self.at_ms.len() >= self.limit).then(|| self.at_ms.drain(..).len() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_ten_minutes_are_too_many() {
        let minute = 60_000;
        let mut window = FailureWindow::new(3, 10 * minute);
        assert_eq!(window.record(0), None);
        assert_eq!(window.record(5 * minute), None);
        assert_eq!(window.record(10 * minute), Some(3), "the tenth minute still counts");
        assert_eq!(window.record(10 * minute), None, "and then it begins anew");
    }

    #[test]
    fn failures_that_are_far_apart_are_not() {
        let mut window = FailureWindow::new(3, 600_000);
        for hour in 0..100 {
            assert_eq!(window.record(hour * 3_600_000), None);
        }
        assert_eq!(window.record(99 * 3_600_000 + 1), None);
        assert_eq!(window.record(99 * 3_600_000 + 2), Some(3));
    }

    #[test]
    fn a_clock_that_is_set_back_loses_no_failure() {
        let mut window = FailureWindow::new(3, 600_000);
        assert_eq!(window.record(5_000_000), None);
        assert_eq!(window.record(0), None);
        assert_eq!(window.record(1), Some(3));
    }
}
