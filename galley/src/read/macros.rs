//! Two forms in which the API is written down: messages and enumerations. Each gives the type, its reader and its schema
//! from one list, so that a field cannot be read without being documented, nor documented without being read.

/// A message: a struct whose fields are written `name: Type = "nameOnTheWire"`.
///
/// `where { "maxItems": 16 }` after a field, or after the message, adds keywords to its schema: what the API server is to
/// hold people to.
///
/// After the fields, `ignoring ["a", "b"]` names fields that exist and mean nothing to a mesh, and `ignoring all` says
/// that the type is Kubernetes' own, of which only a part is looked at.
macro_rules! object {
    (
        $(#[$doc:meta])*
        pub struct $name:ident { $( $(#[$field_doc:meta])* $field:ident : $type:ty = $wire:literal $(where $rules:tt)? ),* $(,)? }
        $(where $own_rules:tt)?
        $(ignoring $ignored:tt)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name { $( $(#[$field_doc])* pub $field: $type, )* }

        impl $crate::read::Read for $name {
            fn read(node: &$crate::node::Node, reader: &mut $crate::read::Reader) -> Option<Self> {
                const FIELDS: &[&str] = &[$($wire),*];
                #[allow(unused_mut, reason = "a message may have no fields")]
                let mut out = Self::default();
                for entry in reader.mapping(node)? {
                    match &*entry.key {
                        $( $wire => reader.field(entry, &mut out.$field), )*
                        other => if !$crate::read::object!(@is_ignored other $($ignored)?) {
                            reader.unknown(entry, FIELDS);
                        }
                    }
                }
                Some(out)
            }
        }

        impl $crate::schema::Schema for $name {
            fn schema() -> serde_json::Value {
                let docs: &[&str] = &[$( stringify!($doc) ),*];
                let fields = [ $( $crate::schema::Field {
                    name: $wire,
                    docs: &[$( stringify!($field_doc) ),*],
                    schema: <$type as $crate::schema::Schema>::schema,
                    rules: $crate::read::object!(@rules $($rules)?),
                } ),* ];
                $crate::schema::object(docs, fields, $crate::read::object!(@rules $($own_rules)?))
            }
        }
    };
    (@rules) => { serde_json::json!({}) };
    (@rules $rules:tt) => { serde_json::json!($rules) };
    (@is_ignored $key:ident) => { { let _ = $key; false } };
    (@is_ignored $key:ident all) => { { let _ = $key; true } };
    (@is_ignored $key:ident [$($word:literal),* $(,)?]) => { matches!($key, $($word)|*) };
}

/// An enumeration: variants are written `Variant = "WORD"`; the first is the default.
macro_rules! words {
    (
        $(#[$doc:meta])*
        pub enum $name:ident {
            $(#[$first_doc:meta])* $first:ident = $first_word:literal
            $(, $(#[$variant_doc:meta])* $variant:ident = $word:literal)* $(,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $(#[$first_doc])* #[default] $first,
            $( $(#[$variant_doc])* $variant, )*
        }

        impl $name {
            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { Self::$first => $first_word, $( Self::$variant => $word, )* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::read::Read for $name {
            fn read(node: &$crate::node::Node, reader: &mut $crate::read::Reader) -> Option<Self> {
                const WORDS: &[&str] = &[$first_word $(, $word)*];
                match reader.word(node, WORDS)? {
                    $first_word => Some(Self::$first),
                    $( $word => Some(Self::$variant), )*
                    _ => None,
                }
            }
        }

        impl $crate::schema::Schema for $name {
            fn schema() -> serde_json::Value {
                let words: &[(&str, &[&str])] = &[
                    ($first_word, &[$( stringify!($first_doc) ),*])
                    $(, ($word, &[$( stringify!($variant_doc) ),*]))*
                ];
                $crate::schema::words(words)
            }
        }
    };
}

pub(crate) use {object, words};
