//! Paths and keys that functions are given: as arrays of text, or as the text of such an array.

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray};
use datafusion::common::{Result, exec_datafusion_err, exec_err};

use super::value;

/// An argument that is text.
pub(super) fn texts<'a>(function: &str, array: &'a ArrayRef) -> Result<&'a StringArray> {
    array.as_string_opt::<i32>().ok_or_else(|| exec_datafusion_err!("{function} takes text, not {}", array.data_type()))
}

/// Those of each row.
pub(super) enum Paths<'a> {
    Lists { function: &'a str, lists: &'a ListArray },
    Texts(&'a StringArray),
}

impl<'a> Paths<'a> {
    /// The argument of a function.
    pub(super) fn of(function: &'a str, array: &'a ArrayRef) -> Result<Paths<'a>> {
        match array.as_list_opt::<i32>() {
            Some(lists) => Ok(Paths::Lists { function, lists }),
            None => texts(function, array).map(Paths::Texts),
        }
    }

    /// Those of a row; `None` where they are NULL, or one of them is.
    pub(super) fn at(&self, row: usize) -> Result<Option<Vec<String>>> {
        match self {
            Paths::Lists { lists, .. } if lists.is_null(row) => Ok(None),
            Paths::Lists { function, lists } => {
                let list = lists.value(row);
                Ok(texts(function, &list)?.iter().map(|text| text.map(str::to_owned)).collect())
            }
            Paths::Texts(texts) if texts.is_null(row) => Ok(None),
            Paths::Texts(texts) => match value::text_array(texts.value(row)) {
                Some(path) => Ok(Some(path)),
                None => exec_err!("'{}' is no array of text, like '{{a,b}}'", texts.value(row)),
            },
        }
    }
}
