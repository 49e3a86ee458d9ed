//! mDNS: `_axeos._sub._http._tcp.local.` names every Bitaxe in the network.
