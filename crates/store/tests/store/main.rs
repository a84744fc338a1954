//! The store from outside: the contract of the port, crashes, damage, full disks.

mod contract;
mod crash;
mod damage;
mod directory;
mod full;
mod support;
