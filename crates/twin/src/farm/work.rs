//! The farm's mining: one Stratum session a machine from the machine's own address, and a few threads
//! that do the hashes which physics say are due. Every share is a true one.
