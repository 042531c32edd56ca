use std::{error::Error, fmt};

/// The text of an error and of its sources. A source is left out if the text before it contains it.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        for source in std::iter::successors(self.0.source(), |&error| error.source()) {
            let source = source.to_string();
            if !text.contains(&source) {
                text.push_str(": ");
                text.push_str(&source);
            }
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Told(&'static str, Option<Box<Told>>);

    impl fmt::Display for Told {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Told {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&**self.1.as_ref()?)
        }
    }

    #[test]
    fn sources_that_the_text_lacks_are_added() {
        let deepest = Told("no such table", None);
        let deep = Told("the query failed: no such table", Some(Box::new(deepest)));
        let top = Told("no session", Some(Box::new(deep)));
        let shown = "no session: the query failed: no such table";
        assert_eq!(Chain(&top).to_string(), shown);
    }
}
