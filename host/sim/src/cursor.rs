//! The position in a paged listing.

/// The position in a paged listing: the number of the next item, and whether an empty page comes
/// first. AWS returns such pages. The simulated AWS returns one after the first page of a listing,
/// and after every eighth page from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) next: usize,
    pub(crate) empty: bool,
}

impl Cursor {
    /// Reads the token of a page. Without a token it is the first page.
    pub(crate) fn read(token: Option<&str>) -> Option<Self> {
        let Some(token) = token else { return Some(Self { next: 0, empty: false }) };
        let (empty, number) = match token.strip_prefix("empty-") {
            Some(number) => (true, number),
            None => (false, token.strip_prefix("page-")?),
        };
        Some(Self { next: number.parse().ok()?, empty })
    }

    /// The token of the page that begins with this item.
    pub(crate) fn token(next: usize) -> String {
        format!("page-{next}")
    }

    /// The page at this cursor: its start and end in a list of `total` items, and the token of the
    /// next page.
    pub(crate) fn page(
        self,
        size: usize,
        total: usize,
    ) -> (std::ops::Range<usize>, Option<String>) {
        if self.empty {
            return (0..0, Some(Self::token(self.next)));
        }
        let size = size.max(1);
        let begin = self.next.min(total);
        let end = begin.saturating_add(size).min(total);
        let kind = if (end / size) % 8 == 1 { "empty" } else { "page" };
        (begin..end, (end < total).then(|| format!("{kind}-{end}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_shows_everything_once_and_has_empty_pages() {
        let (mut token, mut seen, mut empty) = (None, Vec::new(), 0);
        loop {
            let (range, next) = Cursor::read(token.as_deref()).unwrap().page(20, 405);
            empty += usize::from(range.is_empty());
            seen.extend(range);
            token = next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..405).collect::<Vec<_>>());
        assert_eq!(empty, 3);
    }

    #[test]
    fn a_foreign_token_is_refused() {
        assert_eq!(Cursor::read(Some("nonsense")), None);
        assert_eq!(Cursor::read(Some("page--1")), None);
    }
}
