use super::*;

const ADDRESS: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
const TEST_ADDRESS: &str = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";

/// What comes of these lines typed by a person, and all that person saw.
fn typed(
    args: Args,
    input: &str,
    cookies: &[(Network, PathBuf)],
) -> (Result<Answers, String>, String) {
    converse(args, input, cookies, true)
}

fn converse(
    args: Args,
    input: &str,
    cookies: &[(Network, PathBuf)],
    again: bool,
) -> (Result<Answers, String>, String) {
    let mut output = Vec::new();
    let asker = Asker { ask: !args.yes, again, input: &mut input.as_bytes(), output: &mut output };
    let answers = answers(args, asker, cookies).map_err(|error| error.to_string());
    (answers, String::from_utf8(output).unwrap())
}

#[test]
fn pressing_enter_at_every_question_gives_the_defaults() {
    let (answers, seen) = typed(Args::default(), "\n\n\n\n\n\n", &[]);
    let answers = answers.unwrap();
    assert_eq!(answers.network, Network::Mainnet);
    assert_eq!(answers.url, "http://127.0.0.1:8332");
    assert_eq!(answers.auth, None);
    assert_eq!(answers.fallback_address, None);
    assert_eq!(answers.listen.to_string(), "0.0.0.0:3333");
    assert_eq!(answers.web.to_string(), "127.0.0.1:8080");
    assert!(
        seen.contains("Your Bitcoin address, for miners whose user name is no address [none]: "),
        "{seen}"
    );
}

#[test]
fn a_node_that_runs_here_is_found_and_its_network_proposed() {
    let cookie = PathBuf::from("/var/lib/bitcoind/signet/.cookie");
    let cookies = [(Network::Signet, cookie.clone())];
    let (answers, seen) = typed(Args::default(), "\n\n\n\n\n\n", &cookies);
    let answers = answers.unwrap();
    assert_eq!(answers.network, Network::Signet);
    assert_eq!(answers.url, "http://127.0.0.1:38332");
    assert_eq!(answers.auth, Some(Auth::Cookie(cookie)));
    assert!(
        seen.starts_with("Found the cookie of a signet node: /var/lib/bitcoind/signet/.cookie\n"),
        "{seen}"
    );
}

#[test]
fn a_wrong_answer_is_explained_and_asked_for_again() {
    let input = format!(
        "testnet\ntestnet4\n127.0.0.1\nhttp://192.168.1.2:48332\n\nme:secret\n{ADDRESS}\n\
         {TEST_ADDRESS}\nport\n3334\n127.0.0.1:81\n"
    );
    let (answers, seen) = typed(Args::default(), &input, &[]);
    let answers = answers.unwrap();
    assert_eq!(answers.network, Network::Testnet4);
    assert_eq!(answers.url, "http://192.168.1.2:48332");
    assert_eq!(answers.auth, Some(Auth::UserPass { user: "me".into(), password: "secret".into() }));
    assert_eq!(answers.fallback_address.as_deref(), Some(TEST_ADDRESS));
    assert_eq!(answers.listen.to_string(), "0.0.0.0:3334");
    assert_eq!(answers.web.to_string(), "127.0.0.1:81");
    for said in [
        "\"testnet\" is not a network; write mainnet, testnet4, signet or regtest",
        "the node's url must look like http://127.0.0.1:48332, not \"127.0.0.1\"",
        // The cookie of another machine cannot be guessed.
        "give the path of the node's .cookie file, or user:password",
        "belongs to mainnet, but this server mines on testnet4",
        "\"port\" is no port: write one such as 3333, or an IP address and a port",
    ] {
        assert!(seen.contains(said), "{said} is not in\n{seen}");
    }
}

#[test]
fn a_script_that_answers_wrongly_or_too_little_is_told_at_once() {
    let (answers, _) = converse(Args::default(), "testnet\nmainnet\n", &[], false);
    assert!(answers.unwrap_err().starts_with("\"testnet\" is not a network"));
    let (answers, _) = converse(Args::default(), "\n\n", &[], false);
    assert_eq!(
        answers.unwrap_err(),
        "the input ended at the question \"Its cookie file, or user:password of its rpcauth\": \
         answer every question, or give --yes and the answers as options (see `hearth init --help`)"
    );
}

#[test]
fn options_leave_their_questions_out_and_yes_leaves_out_all() {
    let args = |yes| Args {
        yes,
        network: Some(Network::Regtest),
        node: Some("http://127.0.0.1:9999/".into()),
        cookie: Some("/x/.cookie".into()),
        address: Some("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".into()),
        listen: Some("4444".into()),
        web: Some("0.0.0.0:80".into()),
        ..Args::default()
    };
    for yes in [false, true] {
        let (answers, seen) = typed(args(yes), "", &[]);
        assert_eq!(seen, "");
        let answers = answers.unwrap();
        assert_eq!(answers.url, "http://127.0.0.1:9999");
        assert_eq!(answers.auth, Some(Auth::Cookie("/x/.cookie".into())));
        assert_eq!(answers.listen.to_string(), "0.0.0.0:4444");
    }
    let (answers, seen) = typed(Args { yes: true, ..Args::default() }, "", &[]);
    assert_eq!(seen, "");
    assert_eq!(answers.unwrap().network, Network::Mainnet);
    // With no questions, a node elsewhere needs its credentials as options.
    let far = Args { yes: true, node: Some("http://10.0.0.9:8332".into()), ..Args::default() };
    assert_eq!(
        typed(far, "", &[]).0.unwrap_err(),
        "give the path of the node's .cookie file, or user:password"
    );
}

fn some_answers(auth: Option<Auth>) -> Answers {
    Answers {
        network: Network::Mainnet,
        url: "http://127.0.0.1:8332".into(),
        auth,
        fallback_address: Some(ADDRESS.into()),
        listen: "0.0.0.0:3333".parse().unwrap(),
        web: "127.0.0.1:8080".parse().unwrap(),
    }
}

#[test]
fn a_file_is_replaced_only_by_force_and_a_password_in_it_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hearth.toml");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    write(&path, &some_answers(None), false).unwrap();
    assert_eq!(mode(), 0o644);
    let config = Config::load(&path).unwrap();
    assert_eq!(config.stratum.fallback_address.as_deref(), Some(ADDRESS));

    let again = write(&path, &some_answers(None), false).unwrap_err().to_string();
    let shown = path.display();
    assert_eq!(
        again,
        format!("{shown} exists already: name another file with -c, or replace it with --force")
    );
    let login = Auth::UserPass { user: "me".into(), password: "secret".into() };
    write(&path, &some_answers(Some(login.clone())), true).unwrap();
    assert_eq!(mode(), 0o600);
    assert_eq!(Config::load(&path).unwrap().chain.nodes[0].auth, login);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn answers_that_do_not_fit_together_and_folders_that_are_not_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let same = Answers { web: "127.0.0.1:3333".parse().unwrap(), ..some_answers(None) };
    assert_eq!(
        write(&folder.path().join("a.toml"), &same, false).unwrap_err().to_string(),
        "these answers do not fit together: web.listen takes the port that [[stratum.port]] listens \
         on (0.0.0.0:3333): give it another"
    );
    let nowhere = folder.path().join("no/a.toml");
    let said = write(&nowhere, &some_answers(None), false).unwrap_err().to_string();
    assert!(said.ends_with("choose a folder you may write to with -c"), "{said}");
}
