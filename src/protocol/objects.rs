//! Structs and enums that are written and read as JSON objects, each field named once.
//!
//! What these macros define is written by what serde derives, and read by hand: what serde derives for reading
//! takes ten times the code, and a worker is loaded whole.

/// Defines a struct that is a JSON object. After a field stands its name and, if the field may be left out, after
/// `unless` the test for that.
macro_rules! object {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* pub $field:ident: $type:ty = $key:literal $(unless $skip:literal)?,)+
    } $(and others in $other:ident)?) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize)]
        #[cfg_attr(test, derive(ts_rs::TS))]
        pub struct $name {
            $(
                $(#[$doc])*
                #[serde(rename = $key)]
                $(#[serde(skip_serializing_if = $skip)] #[cfg_attr(test, ts(optional))])?
                pub $field: $type,
            )+
            $(
                /// Fields that this version has no name for.
                #[serde(flatten)]
                #[cfg_attr(test, ts(skip))]
                pub $other: $crate::protocol::json::OtherFields,
            )?
        }

        impl $crate::protocol::Read for $name {
            fn read(value: &$crate::protocol::Json) -> Option<Self> {
                // Only a struct with others asks for them.
                #[allow(dead_code)]
                const KEYS: &[&str] = &[$($key),+];
                Some($name {
                    $($field: $crate::protocol::required(value, $key)?,)+
                    $($other: $crate::protocol::read::others(value, KEYS)?,)?
                })
            }
        }
    };
}

/// Defines an enum that is a JSON object with a `type`, which stands after a value's name. An object of another
/// type or form is the last value. After a field may stand a check that it must pass, and the test for leaving it out.
macro_rules! kinds {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$doc:meta])* $kind:ident = $word:literal {
            $($(#[$field_meta:meta])* $field:ident: $type:ty = $key:literal $(if $check:ident)? $(unless $skip:literal)?,)+
        },)+
    } or $other:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize)]
        #[cfg_attr(test, derive(ts_rs::TS))]
        #[serde(tag = "type")]
        pub enum $name {
            $(
                $(#[$doc])*
                #[serde(rename = $word)]
                $kind {
                    $(
                        $(#[$field_meta])*
                        #[serde(rename = $key)]
                        $(#[serde(skip_serializing_if = $skip)] #[cfg_attr(test, ts(optional))])?
                        $field: $type,
                    )+
                },
            )+
            /// An object of a type or form that this version does not know.
            #[serde(untagged)]
            #[cfg_attr(test, ts(skip))]
            $other($crate::protocol::Json),
        }

        impl $name {
            fn known(kind: &str, value: &$crate::protocol::Json) -> Option<Self> {
                match kind {
                    $($word => Some($name::$kind {
                        $($field: $crate::protocol::required::<$type>(value, $key)$(.filter($check))??,)+
                    }),)+
                    _ => None,
                }
            }
        }

        impl $crate::protocol::Read for $name {
            fn read(value: &$crate::protocol::Json) -> Option<Self> {
                let kind = value.get("type")?.as_str()?;
                Some(Self::known(kind, value).unwrap_or_else(|| $name::$other(value.clone())))
            }
        }
    };
}

pub(crate) use {kinds, object};
