//! The opcodes of pickle protocols 0 to 5, as `pickletools` names them, and the
//! protocol that each came with.

/// The highest protocol that any Python writes.
pub(super) const HIGHEST_PROTOCOL: u8 = 5;

macro_rules! opcodes {
    ($($name:ident = $code:literal since $protocol:literal;)*) => {
        $(pub(super) const $name: u8 = $code;)*

        /// The protocol that an opcode came with, as bit `1 << protocol`; 0 for
        /// bytes that are none.
        pub(super) const SINCE: [u8; 256] = {
            let mut since = [0; 256];
            $(since[$name as usize] = 1 << $protocol;)*
            since
        };
    };
}

opcodes! {
    MARK = b'(' since 0;
    STOP = b'.' since 0;
    POP = b'0' since 0;
    DUP = b'2' since 0;
    FLOAT = b'F' since 0;
    INT = b'I' since 0;
    LONG = b'L' since 0;
    NONE = b'N' since 0;
    PERSID = b'P' since 0;
    REDUCE = b'R' since 0;
    STRING = b'S' since 0;
    UNICODE = b'V' since 0;
    APPEND = b'a' since 0;
    BUILD = b'b' since 0;
    GLOBAL = b'c' since 0;
    DICT = b'd' since 0;
    GET = b'g' since 0;
    INST = b'i' since 0;
    LIST = b'l' since 0;
    PUT = b'p' since 0;
    SETITEM = b's' since 0;
    TUPLE = b't' since 0;
    POP_MARK = b'1' since 1;
    BINFLOAT = b'G' since 1;
    BININT = b'J' since 1;
    BININT1 = b'K' since 1;
    BININT2 = b'M' since 1;
    BINPERSID = b'Q' since 1;
    BINSTRING = b'T' since 1;
    SHORT_BINSTRING = b'U' since 1;
    BINUNICODE = b'X' since 1;
    APPENDS = b'e' since 1;
    BINGET = b'h' since 1;
    LONG_BINGET = b'j' since 1;
    EMPTY_LIST = b']' since 1;
    OBJ = b'o' since 1;
    BINPUT = b'q' since 1;
    LONG_BINPUT = b'r' since 1;
    EMPTY_TUPLE = b')' since 1;
    SETITEMS = b'u' since 1;
    EMPTY_DICT = b'}' since 1;
    PROTO = 0x80 since 2;
    NEWOBJ = 0x81 since 2;
    EXT1 = 0x82 since 2;
    EXT2 = 0x83 since 2;
    EXT4 = 0x84 since 2;
    TUPLE1 = 0x85 since 2;
    TUPLE2 = 0x86 since 2;
    TUPLE3 = 0x87 since 2;
    NEWTRUE = 0x88 since 2;
    NEWFALSE = 0x89 since 2;
    LONG1 = 0x8a since 2;
    LONG4 = 0x8b since 2;
    BINBYTES = b'B' since 3;
    SHORT_BINBYTES = b'C' since 3;
    SHORT_BINUNICODE = 0x8c since 4;
    BINUNICODE8 = 0x8d since 4;
    BINBYTES8 = 0x8e since 4;
    EMPTY_SET = 0x8f since 4;
    ADDITEMS = 0x90 since 4;
    FROZENSET = 0x91 since 4;
    NEWOBJ_EX = 0x92 since 4;
    STACK_GLOBAL = 0x93 since 4;
    MEMOIZE = 0x94 since 4;
    FRAME = 0x95 since 4;
    BYTEARRAY8 = 0x96 since 5;
    NEXT_BUFFER = 0x97 since 5;
    READONLY_BUFFER = 0x98 since 5;
}
