//! Numbers of the tags that this builder writes, by the names of `rpmtag.h` (rpm 4.18).

/// `RPMTAG_HEADERI18NTABLE`.
pub const I18N_TABLE: u32 = 100;
/// `RPMTAG_NAME`.
pub const NAME: u32 = 1000;
/// `RPMTAG_VERSION`.
pub const VERSION: u32 = 1001;
/// `RPMTAG_RELEASE`.
pub const RELEASE: u32 = 1002;
/// `RPMTAG_SUMMARY`.
pub const SUMMARY: u32 = 1004;
/// `RPMTAG_DESCRIPTION`.
pub const DESCRIPTION: u32 = 1005;
/// `RPMTAG_BUILDTIME`.
pub const BUILD_TIME: u32 = 1006;
/// `RPMTAG_BUILDHOST`.
pub const BUILD_HOST: u32 = 1007;
/// `RPMTAG_SIZE`: sum of all files' lengths.
pub const SIZE: u32 = 1009;
/// `RPMTAG_VENDOR`.
pub const VENDOR: u32 = 1011;
/// `RPMTAG_LICENSE`.
pub const LICENSE: u32 = 1014;
/// `RPMTAG_PACKAGER`.
pub const PACKAGER: u32 = 1015;
/// `RPMTAG_GROUP`.
pub const GROUP: u32 = 1016;
/// `RPMTAG_URL`.
pub const URL: u32 = 1020;
/// `RPMTAG_OS`.
pub const OS: u32 = 1021;
/// `RPMTAG_ARCH`.
pub const ARCH: u32 = 1022;
/// `RPMTAG_PREIN`; its interpreter is [`PRE_IN_PROGRAM`].
pub const PRE_IN: u32 = 1023;
/// `RPMTAG_POSTIN`.
pub const POST_IN: u32 = 1024;
/// `RPMTAG_PREUN`.
pub const PRE_UN: u32 = 1025;
/// `RPMTAG_POSTUN`.
pub const POST_UN: u32 = 1026;
/// `RPMTAG_FILESIZES`.
pub const FILE_SIZES: u32 = 1028;
/// `RPMTAG_FILEMODES`.
pub const FILE_MODES: u32 = 1030;
/// `RPMTAG_FILERDEVS`.
pub const FILE_RDEVS: u32 = 1033;
/// `RPMTAG_FILEMTIMES`.
pub const FILE_MTIMES: u32 = 1034;
/// `RPMTAG_FILEDIGESTS`.
pub const FILE_DIGESTS: u32 = 1035;
/// `RPMTAG_FILELINKTOS`.
pub const FILE_LINK_TOS: u32 = 1036;
/// `RPMTAG_FILEFLAGS`.
pub const FILE_FLAGS: u32 = 1037;
/// `RPMTAG_FILEUSERNAME`.
pub const FILE_USER_NAME: u32 = 1039;
/// `RPMTAG_FILEGROUPNAME`.
pub const FILE_GROUP_NAME: u32 = 1040;
/// `RPMTAG_SOURCERPM`: a package without it is taken for a source package.
pub const SOURCE_RPM: u32 = 1044;
/// `RPMTAG_FILEVERIFYFLAGS`.
pub const FILE_VERIFY_FLAGS: u32 = 1045;
/// `RPMTAG_PROVIDENAME`.
pub const PROVIDE_NAME: u32 = 1047;
/// `RPMTAG_REQUIREFLAGS`.
pub const REQUIRE_FLAGS: u32 = 1048;
/// `RPMTAG_REQUIRENAME`.
pub const REQUIRE_NAME: u32 = 1049;
/// `RPMTAG_REQUIREVERSION`.
pub const REQUIRE_VERSION: u32 = 1050;
/// `RPMTAG_CHANGELOGTIME`.
pub const CHANGELOG_TIME: u32 = 1080;
/// `RPMTAG_CHANGELOGNAME`: who, and the version.
pub const CHANGELOG_NAME: u32 = 1081;
/// `RPMTAG_CHANGELOGTEXT`.
pub const CHANGELOG_TEXT: u32 = 1082;
/// `RPMTAG_PREINPROG`.
pub const PRE_IN_PROGRAM: u32 = 1085;
/// `RPMTAG_POSTINPROG`.
pub const POST_IN_PROGRAM: u32 = 1086;
/// `RPMTAG_PREUNPROG`.
pub const PRE_UN_PROGRAM: u32 = 1087;
/// `RPMTAG_POSTUNPROG`.
pub const POST_UN_PROGRAM: u32 = 1088;
/// `RPMTAG_FILEDEVICES`.
pub const FILE_DEVICES: u32 = 1095;
/// `RPMTAG_FILEINODES`.
pub const FILE_INODES: u32 = 1096;
/// `RPMTAG_FILELANGS`.
pub const FILE_LANGS: u32 = 1097;
/// `RPMTAG_PROVIDEFLAGS`.
pub const PROVIDE_FLAGS: u32 = 1112;
/// `RPMTAG_PROVIDEVERSION`.
pub const PROVIDE_VERSION: u32 = 1113;
/// `RPMTAG_DIRINDEXES`.
pub const DIR_INDEXES: u32 = 1116;
/// `RPMTAG_BASENAMES`.
pub const BASE_NAMES: u32 = 1117;
/// `RPMTAG_DIRNAMES`.
pub const DIR_NAMES: u32 = 1118;
/// `RPMTAG_PAYLOADFORMAT`.
pub const PAYLOAD_FORMAT: u32 = 1124;
/// `RPMTAG_PAYLOADCOMPRESSOR`.
pub const PAYLOAD_COMPRESSOR: u32 = 1125;
/// `RPMTAG_PAYLOADFLAGS`: the level.
pub const PAYLOAD_FLAGS: u32 = 1126;
/// `RPMTAG_POSTTRANS`.
pub const POST_TRANS: u32 = 1152;
/// `RPMTAG_POSTTRANSPROG`.
pub const POST_TRANS_PROGRAM: u32 = 1154;
/// `RPMTAG_FILEDIGESTALGO`.
pub const FILE_DIGEST_ALGORITHM: u32 = 5011;
/// `RPMTAG_ORDERNAME`: a wish for the order of a transaction that requires nothing.
pub const ORDER_NAME: u32 = 5035;
/// `RPMTAG_ORDERVERSION`.
pub const ORDER_VERSION: u32 = 5036;
/// `RPMTAG_ORDERFLAGS`.
pub const ORDER_FLAGS: u32 = 5037;
/// `RPMTAG_ENCODING`.
pub const ENCODING: u32 = 5062;
/// `RPMTAG_PAYLOADDIGEST`: of the payload as it lies in the file.
pub const PAYLOAD_DIGEST: u32 = 5092;
/// `RPMTAG_PAYLOADDIGESTALGO`.
pub const PAYLOAD_DIGEST_ALGORITHM: u32 = 5093;

/// Tags of the signature header.
pub mod signature {
    /// `RPMSIGTAG_DSA`: a signature of the header by any key but RSA.
    pub const DSA: u32 = 267;
    /// `RPMSIGTAG_RSA`: a signature of the header by an RSA key.
    pub const RSA: u32 = 268;
    /// `RPMSIGTAG_SHA1`: of the header, in hex.
    pub const SHA1: u32 = 269;
    /// `RPMSIGTAG_SHA256`: of the header, in hex.
    pub const SHA256: u32 = 273;
    /// `RPMSIGTAG_SIZE`: bytes of header and payload.
    pub const SIZE: u32 = 1000;
    /// `RPMSIGTAG_PAYLOADSIZE`: bytes of the uncompressed payload.
    pub const PAYLOAD_SIZE: u32 = 1007;
    /// `RPMSIGTAG_RESERVEDSPACE`: room for a signature that is added later.
    pub const RESERVED_SPACE: u32 = 1008;
}

/// sha256 as OpenPGP numbers digests (RFC 9580, section 9.5).
pub const SHA256: u32 = 8;
