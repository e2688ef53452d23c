-- Room on each page for another version of every row, as the other counters have
-- it: one statement may bring the first payments of many. A version that has to
-- go to another page takes an entry in each index, and attribution has eight.

ALTER TABLE referral.attribution SET (fillfactor = 45);    -- it grows then, too
ALTER TABLE referral.invited SET (fillfactor = 50);
