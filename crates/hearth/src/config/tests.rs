use super::*;
use chain::Auth;

const BITAXE_ADDRESS: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
const TEST_ADDRESS: &str = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";

fn good(text: &str) -> Config {
    Config::parse(text, Path::new("/etc/hearth")).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// The sentences with their lines, as the user reads them.
fn bad(text: &str) -> String {
    let problems = Config::parse(text, Path::new(".")).expect_err("taken without complaint");
    ConfigError::Invalid("hearth.toml".into(), problems).to_string()
}

#[test]
fn an_empty_file_is_a_local_mainnet_node_and_one_port() {
    let config = good("");
    assert_eq!(config.network(), Network::Mainnet);
    assert_eq!(config.data_dir, Path::new("/etc/hearth/hearth-data/mainnet"));
    assert_eq!(config.ledger(), Path::new("/etc/hearth/hearth-data/mainnet/ledger.sqlite"));
    assert_eq!(config.chain.blocks_dir, Path::new("/etc/hearth/hearth-data/mainnet/blocks"));
    assert_eq!(config.chain.nodes.len(), 1);
    assert_eq!(config.chain.nodes[0].url, "http://127.0.0.1:8332");
    let home = std::env::home_dir().unwrap();
    assert_eq!(config.chain.nodes[0].auth, Auth::Cookie(home.join(".bitcoin/.cookie")));
    assert_eq!(config.web.to_string(), "127.0.0.1:8080");
    assert_eq!(config.log, Log::default());
    assert_eq!(format!("{:?}", config.stratum), format!("{:?}", stratum::Config::default()));
}

#[test]
fn every_key_can_be_set() {
    let text = format!(
        r##"
        network = "testnet4"
        data_dir = "~/mining"
        fallback_address = "{TEST_ADDRESS}"

        [[node]]
        url = "http://127.0.0.1:48332/"
        cookie = "node/.cookie"
        [[node]]
        url = "http://[::1]:1234"
        user = "me"
        password = "se\"cret"

        [template]
        refresh = "1m"
        tag = ""
        coinbase_reserve = 8_000
        confirmations = 1

        [stratum]
        shares_per_minute = 6.5
        version_mask = "00ffe000"
        extranonce2_size = 4
        threads = 2

        [[stratum.port]]
        listen = "0.0.0.0:3333"
        max_difficulty = 256
        [[stratum.port]]
        listen = "[::1]:3334"
        start_difficulty = 1e6
        min_difficulty = 500_000
        max_difficulty = 1e12
        fractional = true
        vardiff = false

        [stratum.limits]
        connections = 500
        handshake = "5s"
        idle = "10 m"
        line = "2 KiB"
        send_buffer = "8192B"
        invalid_shares = 10
        ban_after = 3
        ban = "1h"

        [web]
        listen = "0.0.0.0:80"

        [log]
        format = "json"
        level = "warn,stratum=debug"
        "##
    );
    let config = good(&text);
    let home = std::env::home_dir().unwrap();
    assert_eq!(config.data_dir, home.join("mining/testnet4"));
    let [first, second] = &config.chain.nodes[..] else { panic!("{:?}", config.chain.nodes) };
    assert_eq!(first.url, "http://127.0.0.1:48332");
    assert_eq!(first.auth, Auth::Cookie("/etc/hearth/node/.cookie".into()));
    assert_eq!(second.auth, Auth::UserPass { user: "me".into(), password: "se\"cret".into() });
    assert_eq!(config.chain.refresh, MINUTE);
    assert_eq!((config.chain.coinbase_reserve, config.chain.confirmations), (8000, 1));
    let stratum = config.stratum;
    assert_eq!(stratum.fallback_address.as_deref(), Some(TEST_ADDRESS));
    assert_eq!((stratum.tag.as_str(), stratum.shares_per_minute), ("", 6.5));
    assert_eq!((stratum.version_mask, stratum.extranonce2_size), (0x00ff_e000, 4));
    assert_eq!((stratum.threads, stratum.network), (2, Network::Testnet4));
    // A range that was set moves the start that was not.
    assert_eq!(stratum.ports[0].start_difficulty, 256.0);
    assert!(stratum.ports[1].fractional && !stratum.ports[1].vardiff);
    let limits = stratum.limits;
    assert_eq!((limits.connections, limits.connections_per_address), (500, 500));
    assert_eq!((limits.handshake, limits.idle), (5 * SECOND, 10 * MINUTE));
    assert_eq!((limits.line, limits.send_buffer), (2048, 8192));
    assert_eq!((limits.invalid_shares, limits.ban_after, limits.ban), (10, 3, HOUR));
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn circuits_machines_meters_and_logins_are_read() {
    let text = r#"
        [fleet]
        enabled = true
        scan = ["10.0.0.0/24", "10.0.1.5-40", "10.0.2.7"]
        tune = "watts=800"
        mqtt = { server = "broker:1883" }
        [[fleet.circuit]]
        name = "site"
        limit = "40 kW"
        [fleet.circuit.meter]
        mqtt = "meters/site"
        json = "/ENERGY/Power"
        [[fleet.circuit]]
        name = "A"
        amperes = 16
        phases = 3
        feeds_from = "site"
        other = "500 W"
        meter = { modbus = "10.0.0.9:502", register = 52, scale = 0.1, kind = "i32" }
        [[fleet.device]]
        id = "mac:02:8f:77:ec:e7:e0"
        name = "garage"
        circuit = "A"
        model = "S21 Pro"
        power = "3.5 kW"
        max_chip = "80 C"
        tune = "off"
        work_scale = 4294967296
        password = "hidden"
        switch = { mqtt = "plug/7", state = "plug/7/is", on = "ON" }
        [[fleet.login]]
        firmware = "braiins_os"
        user = "root"
        password = "secret"
    "#;
    let fleet = good(text).fleet;
    assert_eq!(fleet.circuits().path("A").count(), 2);
    assert_eq!(fleet.circuits[1].circuit.limit.get(), 16.0 * 230.0 * 3.0 * 0.8);
    assert_eq!(fleet.circuits.iter().filter(|fed| fed.meter.is_some()).count(), 2);
    let device = &fleet.devices[0];
    assert_eq!(device.model.as_deref(), Some("Antminer S21 Pro"));
    assert_eq!(device.work_scale.get(), 4_294_967_296.0);
    assert!(device.switch.is_some() && device.login.is_some() && device.tune == Some(None));
    assert_eq!((fleet.scan.len(), fleet.tune.is_some()), (3, true));
    let shown = format!("{fleet:?}");
    assert!(!shown.contains("secret") && !shown.contains("hidden"));
    for (text, said) in [
        ("[fleet]\nscan = [\"home\"]", "is no range"),
        ("[fleet]\nscan = [\"8.8.8.0/24\"]", "a public address"),
        ("[fleet]\ntune = \"fun\"", "is no goal"),
        ("[[fleet.circuit]]\nname = \"a\"", "limit (or amperes) are needed"),
        ("[[fleet.circuit]]\nname = \"a\"\nlimit = \"1 kW\"\nfeeds_from = \"b\"", "hangs on \"b\""),
        (
            "[[fleet.device]]\nip = \"10.0.0.1\"\ncircuit = \"x\"",
            "no [[fleet.circuit]] of that name",
        ),
        ("[[fleet.device]]\nmodel = \"S99\"\nip = \"10.0.0.1\"", "the catalogue has no machine"),
        ("[[fleet.device]]\nname = \"attic\"", "which machine this is"),
        ("[[fleet.device]]\nip = \"10.0.0.1\"\nmeter = { mqtt = \"a\" }", "needs a broker"),
        ("[[fleet.login]]\nfirmware = \"dos\"", "must be \"braiins_os\""),
    ] {
        let problems = Config::parse(text, Path::new(".")).unwrap_err();
        assert!(problems.iter().any(|p| p.sentence.contains(said)), "{text}: {problems:?}");
    }
}

#[test]
fn every_fault_is_told_with_its_line_its_key_and_a_remedy() {
    for (text, said) in [
        // Unknown keys.
        (
            "netwrok = \"signet\"",
            "1: unknown key \"netwrok\" at the top of the file; did you mean \"network\"?",
        ),
        (
            "\n[template]\nrefesh = \"30s\"",
            "3: unknown key \"refesh\" in [template]; did you mean \"refresh\"?",
        ),
        (
            "[stratum]\n[[stratum.port]]\nlisten = \"0.0.0.0:1\"\nmindifficulty = 1",
            "4: unknown key \"mindifficulty\" in [[stratum.port]]; did you mean \"min_difficulty\"?",
        ),
        (
            "tag = \"me\"",
            "1: unknown key \"tag\" at the top of the file; it belongs below [template]",
        ),
        (
            "[fleet]\nenabled = false\n[energy]\nenabled = true",
            "4: energy.enabled needs machines to steer: set enabled = true under [fleet], too",
        ),
        (
            "[web]\nport = 80",
            "2: unknown key \"port\" in [web]; it belongs below [[energy.modbus]] or below \
             [[energy.sunspec]] or below [stratum]",
        ),
        (
            "[log]\nqwertz = 1",
            "2: unknown key \"qwertz\" in [log]; the keys here are format, level",
        ),
        (
            "[pool]\nx = 1",
            "1: unknown key \"pool\" at the top of the file; the keys here are data_dir, energy, fallback_address, fleet, log, network, node, stratum, template, web",
        ),
        (
            "[stratum.limit]\nidle = \"1h\"",
            "1: unknown key \"limit\" in [stratum]; did you mean \"limits\"?",
        ),
        // Not TOML, or not the right shape.
        (
            "network = mainnet",
            "1: this is not TOML: string values must be quoted, expected literal string; write one key = value a line, texts in quotes",
        ),
        (
            "a = 1\na = 2",
            "2: this is not TOML: duplicate key; write one key = value a line, texts in quotes",
        ),
        (
            "[node]\nurl = \"http://a:1\"",
            "1: node can occur several times: write each below a line [[node]] with two brackets",
        ),
        ("template = 5", "1: template must be a table: write its keys below a line [template]"),
        // Wrong types and ranges.
        (
            "network = \"main\"",
            "1: network must be \"mainnet\", \"testnet4\", \"signet\" or \"regtest\", not \"main\"",
        ),
        (
            "network = 1",
            "1: network must be \"mainnet\", \"testnet4\", \"signet\" or \"regtest\", not 1",
        ),
        ("data_dir = \"\"", "1: data_dir must be a path in quotes, not \"\""),
        (
            "[template]\nrefresh = 30",
            "2: template.refresh must be a duration in quotes from \"1s\" to \"10m\", not 30",
        ),
        (
            "[template]\nrefresh = \"soon\"",
            "2: template.refresh must be a duration in quotes from \"1s\" to \"10m\", not \"soon\"",
        ),
        (
            "[template]\nrefresh = \"2h\"",
            "2: template.refresh must be a duration in quotes from \"1s\" to \"10m\", not \"2h\"",
        ),
        (
            "[template]\nconfirmations = 0",
            "2: template.confirmations must be a whole number from 1 to 1000, not 0",
        ),
        (
            "[template]\nconfirmations = 6.0",
            "2: template.confirmations must be a whole number from 1 to 1000, not 6.0",
        ),
        (
            "[template]\ncoinbase_reserve = -1",
            "2: template.coinbase_reserve must be a whole number from 2000 to 400000, not -1",
        ),
        (
            "[template]\ntag = \"12345678901234567890123456789012345678901\"",
            "2: template.tag must be a text of at most 40 plain ASCII characters, not \"12345678901234567890123456789012345678901\"",
        ),
        (
            "[template]\ntag = \"⛏\"",
            "2: template.tag must be a text of at most 40 plain ASCII characters, not \"⛏\"",
        ),
        (
            "[stratum]\nshares_per_minute = 0",
            "2: stratum.shares_per_minute must be a number from 0.01 to 6000, not 0",
        ),
        (
            "[stratum]\nshares_per_minute = nan",
            "2: stratum.shares_per_minute must be a number from 0.01 to 6000, not nan",
        ),
        (
            "[stratum]\nversion_mask = \"ffffffff\"",
            "2: stratum.version_mask must be eight hex digits in quotes with no bits outside \"1fffe000\", which BIP 320 sets aside for miners, not \"ffffffff\"",
        ),
        (
            "[stratum]\nversion_mask = 0x1fffe000",
            "2: stratum.version_mask must be eight hex digits in quotes with no bits outside \"1fffe000\", which BIP 320 sets aside for miners, not 0x1fffe000",
        ),
        (
            "[stratum]\nextranonce2_size = 9",
            "2: stratum.extranonce2_size must be a whole number from 4 to 8, not 9",
        ),
        (
            "[[stratum.port]]\nlisten = 3333",
            "2: stratum.port.listen must be an IP address and a port in quotes, such as \"0.0.0.0:3333\", not 3333",
        ),
        (
            "[[stratum.port]]\nlisten = \"localhost:3333\"",
            "2: stratum.port.listen must be an IP address and a port in quotes, such as \"0.0.0.0:3333\", not \"localhost:3333\"",
        ),
        (
            "[[stratum.port]]\nlisten = \"0.0.0.0:70000\"",
            "2: stratum.port.listen must be an IP address and a port in quotes, such as \"0.0.0.0:3333\", not \"0.0.0.0:70000\"",
        ),
        (
            "[[stratum.port]]\nmin_difficulty = -1",
            "2: stratum.port.min_difficulty must be a number from 0.000000001 to 1000000000000000000, not -1",
        ),
        (
            "[[stratum.port]]\nmin_difficulty = nan",
            "2: stratum.port.min_difficulty must be a number from 0.000000001 to 1000000000000000000, not nan",
        ),
        (
            "[[stratum.port]]\nmax_difficulty = inf",
            "2: stratum.port.max_difficulty must be a number from 0.000000001 to 1000000000000000000, not inf",
        ),
        (
            "[[stratum.port]]\nfractional = \"yes\"",
            "2: stratum.port.fractional must be true or false, not \"yes\"",
        ),
        (
            "[[stratum.port]]\nmin_difficulty = 64\nmax_difficulty = 8",
            "2: stratum.port.min_difficulty leaves no range: 64 is the lowest, 8 the highest; swap or widen them",
        ),
        (
            "[[stratum.port]]\nmin_difficulty = 64\nstart_difficulty = 8",
            "3: stratum.port.start_difficulty must lie from min_difficulty 64 to max_difficulty 1099511627776, not at 8",
        ),
        (
            "[[stratum.port]]\nstart_difficulty = 1000",
            "2: stratum.port.start_difficulty must be a power of two, not 1000: write 1024, or set fractional = true for this port",
        ),
        (
            "[[stratum.port]]\nmin_difficulty = 0.001",
            "2: stratum.port.min_difficulty must be a power of two, not 0.001: write 0.0009765625, or set fractional = true for this port",
        ),
        (
            "[[stratum.port]]\n[[stratum.port]]\n",
            "2: stratum.port.listen is 0.0.0.0:3333, which another [[stratum.port]] has: give each port its own",
        ),
        (
            "[web]\nlisten = \"127.0.0.1:3333\"",
            "2: web.listen takes the port that [[stratum.port]] listens on (0.0.0.0:3333): give it another",
        ),
        (
            "[stratum.limits]\nhandshake = \"0s\"",
            "2: stratum.limits.handshake must be a duration in quotes from \"1s\" to \"10m\", not \"0s\"",
        ),
        (
            "[stratum.limits]\nline = \"1 GB\"",
            "2: stratum.limits.line must be a size in quotes from \"512 B\" to \"64 KiB\", not \"1 GB\"",
        ),
        (
            "[stratum.limits]\nline = 4096",
            "2: stratum.limits.line must be a size in quotes from \"512 B\" to \"64 KiB\", not 4096",
        ),
        (
            "[stratum.limits]\nconnections = 10\nconnections_per_address = 11",
            "3: stratum.limits.connections_per_address cannot be more than connections, which is 10: lower it",
        ),
        ("[log]\nformat = \"xml\"", "2: log.format must be \"human\" or \"json\", not \"xml\""),
        (
            "[log]\nlevel = \"infoo\"",
            "2: log.level must be \"error\", \"warn\", \"info\", \"debug\" or \"trace\", or levels by module such as \"info,stratum=debug\", not \"infoo\"",
        ),
        // Addresses.
        (
            "fallback_address = \"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5\"",
            "1: fallback_address cannot be paid: \"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5\" is not a bitcoin address: check it for typing errors",
        ),
        (
            "fallback_address = \"tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx\"",
            "1: fallback_address cannot be paid: the address tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx belongs to a test network, but this server mines on mainnet",
        ),
        (
            "network = \"signet\"\nfallback_address = \"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4\"",
            "2: fallback_address cannot be paid: the address bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 belongs to mainnet, but this server mines on signet",
        ),
        (
            "fallback_address = \"\"",
            "1: fallback_address cannot be paid: \"\" is not a bitcoin address: check it for typing errors",
        ),
        // Nodes.
        (
            "[[node]]\nurl = \"https://node:8332\"",
            "2: node.url must begin with http://, not https://: Bitcoin Core speaks plain HTTP, so reach a distant node through a tunnel (SSH, WireGuard) and write http://127.0.0.1:8332",
        ),
        (
            "[[node]]\nurl = \"127.0.0.1:8332\"",
            "2: node.url must look like http://127.0.0.1:8332, not \"127.0.0.1:8332\"",
        ),
        (
            "[[node]]\nurl = \"http://127.0.0.1\"",
            "2: node.url has no port: write http://127.0.0.1:8332",
        ),
        ("[[node]]\nurl = \"http://[::1]\"", "2: node.url has no port: write http://[::1]:8332"),
        (
            "[[node]]\nurl = \"http://u:p@127.0.0.1:8332\"",
            "2: node.url must not hold a user and a password: write them as user and password",
        ),
        (
            "[[node]]\nurl = \"http://127.0.0.1:0\"",
            "2: node.url must look like http://127.0.0.1:8332, not \"http://127.0.0.1:0\"",
        ),
        (
            "[[node]]\nurl = \"http://::1:8332\"",
            "2: node.url must look like http://127.0.0.1:8332, not \"http://::1:8332\"",
        ),
        (
            "[[node]]\nurl = \"http://a:1/wallet/x\"",
            "2: node.url must look like http://127.0.0.1:8332, not \"http://a:1/wallet/x\"",
        ),
        (
            "[[node]]\nurl = \"http://a:1\"\n[[node]]\nurl = \"http://a:1/\"",
            "4: node.url is http://a:1, which another [[node]] has: remove one of them",
        ),
        (
            "[[node]]\nuser = \"me\"",
            "2: node.user needs a password beside it, as in the node's rpcauth",
        ),
        (
            "[[node]]\npassword = \"x\"",
            "2: node.password needs a user beside it, as in the node's rpcauth",
        ),
        (
            "[[node]]\ncookie = \"c\"\nuser = \"me\"\npassword = \"x\"",
            "2: node.cookie cannot stand beside user and password: keep the cookie, or the user and the password",
        ),
        ("[[node]]\nuser = \"me\"\npassword = 1234", "3: node.password must be a text in quotes"),
    ] {
        assert_eq!(bad(text), format!("hearth.toml, line {said}"), "{text}");
    }
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_file() {
    assert_eq!(
        bad("netwrok = 1\n[template]\nrefresh = 1\n[web]\nlisten = 2"),
        "hearth.toml, line 1: unknown key \"netwrok\" at the top of the file; did you mean \
         \"network\"?\n\
         hearth.toml, line 3: template.refresh must be a duration in quotes from \"1s\" to \"10m\", \
         not 1\n\
         hearth.toml, line 5: web.listen must be an IP address and a port in quotes, such as \
         \"127.0.0.1:8080\", not 2"
    );
}

#[test]
fn an_address_is_not_blamed_for_an_unknown_network() {
    let said = bad(&format!("network = \"tesnet\"\nfallback_address = \"{TEST_ADDRESS}\""));
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_long_wrong_value_is_repeated_in_part() {
    let said = bad(&format!("network = \"{}\"", "é".repeat(500)));
    assert!(said.ends_with(&format!("not \"{}…", "é".repeat(59))), "{said}");
}

#[test]
fn a_file_that_is_missing_unreadable_huge_or_no_text_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hearth.toml");
    let shown = path.display();
    let said = |path: &Path| Config::load(path).unwrap_err().to_string();
    assert_eq!(
        said(&path),
        format!(
            "there is no configuration file {shown}; run `hearth init` to write one, or name yours \
             with -c"
        )
    );
    assert_eq!(
        said(folder.path()),
        format!(
            "the configuration file {} cannot be read: Is a directory (os error 21); check its path \
             and permissions",
            folder.path().display()
        )
    );
    fs::write(&path, [0xff, 0xfe, 0]).unwrap();
    let utf8 = format!("{shown}: this is not a text in UTF-8: save it as UTF-8");
    assert_eq!(said(&path), utf8);
    fs::write(&path, "#".repeat(MAX_FILE as usize + 1)).unwrap();
    let large = format!("{shown}: this is no configuration file: it is larger than 1 MiB");
    assert_eq!(said(&path), large);
    fs::write(&path, "data_dir = \"here\"").unwrap();
    assert_eq!(Config::load(&path).unwrap().data_dir, folder.path().join("here/mainnet"));
}

#[test]
fn garbage_is_refused_and_never_panics() {
    for garbage in
        ["\0\0\0", "[[[[", "= = =", "\"", "node = [1, 2]", "[[node]]\nurl = [[]]", "é…\n[é]"]
    {
        bad(garbage);
    }
}

fn answers(network: Network, auth: Option<Auth>, fallback_address: Option<&str>) -> Answers {
    Answers {
        network,
        url: default_url(network),
        auth,
        fallback_address: fallback_address.map(Into::into),
        listen: "0.0.0.0:3334".parse().unwrap(),
        web: "[::1]:8081".parse().unwrap(),
    }
}

#[test]
fn a_written_file_loads_back_equal_to_the_answers() {
    let login = Auth::UserPass { user: "a\"b\\".into(), password: "p#ö'".into() };
    let cookie = Auth::Cookie("/data/bit\u{7f} coin/.cookie".into());
    for given in [
        answers(Network::Mainnet, None, Some(BITAXE_ADDRESS)),
        answers(Network::Signet, Some(cookie), Some(TEST_ADDRESS)),
        answers(Network::Regtest, Some(login), None),
    ] {
        let config = good(&commented(&given));
        assert_eq!(config.network(), given.network);
        assert_eq!(config.chain.nodes[0].url, given.url);
        let usual = || Auth::Cookie(usual_cookie(given.network).unwrap());
        assert_eq!(config.chain.nodes[0].auth, given.auth.clone().unwrap_or_else(usual));
        assert_eq!(config.stratum.fallback_address, given.fallback_address);
        assert_eq!(config.stratum.ports[0].listen, given.listen);
        assert_eq!(config.web, given.web);
        // All else is as in an empty file.
        let mut rest = config.clone();
        let mut empty = good(&format!("network = \"{}\"", given.network));
        for config in [&mut rest, &mut empty] {
            config.chain.nodes.clear();
            config.stratum.fallback_address = None;
            config.stratum.ports[0].listen = given.listen;
            config.web = given.web;
        }
        assert_eq!(format!("{rest:?}"), format!("{empty:?}"));
    }
}

#[test]
fn the_comments_of_a_written_file_show_every_key_with_its_true_default() {
    let given = answers(Network::Mainnet, None, Some(BITAXE_ADDRESS));
    let text = commented(&given);
    let (commented_out, keys) = parse(&uncomment(&text), Path::new("/etc/hearth"));
    let plain = good(&text);
    let mut config = commented_out.unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(config.chain.nodes.len(), 2);
    config.chain.nodes.truncate(1);
    // Of these no example is a default.
    let shown = std::mem::take(&mut config.fleet);
    assert_eq!((shown.circuits.len(), shown.devices.len(), shown.logins.len()), (1, 1, 1));
    let (circuits, devices, logins, broker) = (vec![], vec![], vec![], None);
    let rest = Fleet { circuits, devices, logins, broker, ..shown };
    assert_eq!(format!("{rest:?}"), format!("{:?}", Fleet::default()));
    assert_eq!(format!("{config:?}"), format!("{plain:?}"));
    // Power has a page of its own, which the file names.
    assert!(text.contains("docs/configuration-energy.md"));
    let power = |key: &Key| key.name == "energy" || key.table.starts_with("energy");
    for key in keys.into_iter().filter(|key| !power(key)) {
        let name = key.name;
        let shown = text.lines().any(|line| {
            let line = line.trim_start_matches(['#', '[', ' ']);
            line.starts_with(name) || line.starts_with(&format!("{}.{name}]", key.table))
        });
        assert!(shown, "{name} of [{}] is not in the file that init writes", key.table);
    }
}

/// Activates the commented keys and tables: their # has no space behind it.
fn uncomment(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => format!("{key}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

const PAGE: &str = include_str!("../../../../docs/configuration.md");
const POWER: &str = include_str!("../../../../docs/configuration-energy.md");

#[test]
fn the_page_on_configuration_has_every_key() {
    for Key { table, name, .. } in parse("", Path::new(".")).1 {
        let dotted = if table.is_empty() { name.to_string() } else { format!("{table}.{name}") };
        let row = format!("\n| `{dotted}` |");
        let heading = [format!("\n### `[{dotted}]`"), format!("\n### `[[{dotted}]]`")];
        let has = |text: &String| PAGE.contains(text.as_str()) || POWER.contains(text.as_str());
        assert!(has(&row) || heading.iter().any(has), "docs/configuration.md lacks {dotted}");
    }
}

#[test]
fn the_examples_on_the_page_load() {
    let mut count = 0;
    let examples = |page: &'static str| page.split("```toml\n").skip(1);
    for example in examples(PAGE).chain(examples(POWER)) {
        let (example, _) = example.split_once("```").unwrap();
        good(example);
        count += 1;
    }
    assert!(count >= 3, "{count} examples");
}

#[test]
fn a_breaker_counts_only_where_its_rating_is_told_and_its_long_limit_bounds_the_plan() {
    let text = "[fleet]\nenabled = true\n[energy]\nenabled = true\n\
                [[energy.sunspec]]\nhost = \"10.0.0.9\"\n";
    let told = |more: &str| good(&format!("{text}{more}")).energy;
    assert_eq!(told("").breaker, None);
    assert_eq!(told("[energy.breaker]\ndelay = \"5s\"\n").breaker, None);
    let rated = told("[energy.breaker]\nrated = \"11 kW\"\n");
    let breaker = rated.breaker.unwrap();
    assert_eq!(breaker.continuous, units::Ratio::percent(80.0).unwrap());
    assert_eq!(breaker.curve, dispatch::local::Curve::default());
    assert_eq!(rated.carries().unwrap().get(), 8800.0);
    let limited = good(&text.replace("[energy]\n", "[energy]\nimport_limit = \"5 kW\"\n")).energy;
    assert_eq!(limited.carries(), limited.import_limit);
}
