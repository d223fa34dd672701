NAME        
OBJSENSE
  MAX
ROWS
 N  Obj     
 L  h1.road_flow[ac]#0
 L  h1.road_flow[cd]#1
 L  h1.load[S0]#2
 L  h1.load[S1]#3
 L  h1.served[0]#4
 E  h1.modified[0]#5
 L  h1.served[1]#6
 E  h1.modified[1]#7
 G  h1.road[ac].time.tangent0#8
 G  h1.road[ac].time.tangent1#9
 G  h1.road[ac].time.tangent2#10
 G  h1.road[ac].time.tangent3#11
 G  h1.road[ac].time.tangent4#12
 G  h1.road[ac].time.tangent5#13
 G  h1.road[ac].hours.tangent0#14
 G  h1.road[ac].hours.tangent1#15
 G  h1.road[ac].hours.tangent2#16
 G  h1.road[ac].hours.tangent3#17
 G  h1.road[ac].hours.tangent4#18
 G  h1.road[ac].hours.tangent5#19
 G  h1.road[ac].time.chord#20
 G  h1.road[ac].hours.chord#21
 G  h1.road[cd].time.tangent0#22
 G  h1.road[cd].time.tangent1#23
 G  h1.road[cd].time.tangent2#24
 G  h1.road[cd].time.tangent3#25
 G  h1.road[cd].time.tangent4#26
 G  h1.road[cd].time.tangent5#27
 G  h1.road[cd].hours.tangent0#28
 G  h1.road[cd].time.chord#29
 G  h1.road[cd].hours.chord#30
 G  h1.road[cd].below0#31
 G  h1.road[cd].below1#32
 G  h1.road[cd].below2#33
 G  h1.road[cd].below3#34
 G  h1.road[cd].below4#35
 L  h1.road[cd].above0#36
 L  h1.road[cd].above1#37
 L  h1.road[cd].above2#38
 L  h1.road[cd].above3#39
 L  h1.road[cd].above4#40
 L  h1.all_hours#41
 E  h1.bill[0].constant#42
 E  h1.bill[1].constant#43
 G  h1.slack[0]#44
 L  h1.indifferent[0]#45
 L  h1.unused[0]#46
 G  h1.slack[1]#47
 L  h1.indifferent[1]#48
 L  h1.unused[1]#49
 G  h1.some_route[0]#50
 G  h1.slack[3]#51
 L  h1.indifferent[3]#52
 L  h1.unused[3]#53
 G  h1.some_route[1]#54
 G  h1.income[S0].low_low#55
 G  h1.income[S0].high_high#56
 L  h1.income[S0].high_low#57
 L  h1.income[S0].low_high#58
 G  h1.income[S1].low_low#59
 G  h1.income[S1].high_high#60
 L  h1.income[S1].high_low#61
 L  h1.income[S1].low_high#62
 L  h1.income#63
COLUMNS
    h1.price[S0]#0  h1.slack[0]#44  9.3499999999999979
    h1.price[S0]#0  h1.indifferent[0]#45  9.3499999999999979
    h1.price[S0]#0  h1.income[S0].high_high#56  -683.35410628213378
    h1.price[S0]#0  h1.income[S0].low_high#58  -683.35410628213378
    h1.price[S1]#1  h1.slack[1]#47  9.3499999999999979
    h1.price[S1]#1  h1.indifferent[1]#48  9.3499999999999979
    h1.price[S1]#1  h1.slack[3]#51  8.2700000000000014
    h1.price[S1]#1  h1.indifferent[3]#52  8.2700000000000014
    h1.price[S1]#1  h1.income[S1].high_high#60  -300.00029999999998
    h1.price[S1]#1  h1.income[S1].low_high#62  -300.00029999999998
    h1.load[S0]#2  Obj       -0.56699999999999995
    h1.load[S0]#2  h1.load[S0]#2  1
    h1.load[S0]#2  h1.income[S0].low_low#55  -0.5
    h1.load[S0]#2  h1.income[S0].high_high#56  -0.93500000000000005
    h1.load[S0]#2  h1.income[S0].high_low#57  -0.93500000000000005
    h1.load[S0]#2  h1.income[S0].low_high#58  -0.5
    h1.load[S1]#3  Obj       -0.66700000000000004
    h1.load[S1]#3  h1.load[S1]#3  1
    h1.load[S1]#3  h1.income[S1].low_low#59  -0.217
    h1.load[S1]#3  h1.income[S1].high_high#60  -1.3959999999999999
    h1.load[S1]#3  h1.income[S1].high_low#61  -1.3959999999999999
    h1.load[S1]#3  h1.income[S1].low_high#62  -0.217
    h1.incoming[a-d]#4  Obj       0
    h1.residual[a-d]#5  Obj       0
    h1.incoming[a-c]#6  Obj       0
    h1.residual[a-c]#7  Obj       0
    h1.modified[a-d]#8  h1.served[0]#4  1
    h1.modified[a-d]#8  h1.modified[0]#5  1
    h1.cheapest[a-d]#9  h1.bill[0].constant#42  -73.085999999999999
    h1.cheapest[a-d]#9  h1.slack[0]#44  -1
    h1.cheapest[a-d]#9  h1.indifferent[0]#45  -1
    h1.cheapest[a-d]#9  h1.slack[1]#47  -1
    h1.cheapest[a-d]#9  h1.indifferent[1]#48  -1
    h1.bill[a-d]#10  Obj       1
    h1.bill[a-d]#10  h1.bill[0].constant#42  1
    h1.bill[a-d]#10  h1.income#63  1
    h1.modified[a-c]#11  h1.served[1]#6  1
    h1.modified[a-c]#11  h1.modified[1]#7  1
    h1.cheapest[a-c]#12  h1.bill[1].constant#43  -22.635999999999999
    h1.cheapest[a-c]#12  h1.slack[3]#51  -1
    h1.cheapest[a-c]#12  h1.indifferent[3]#52  -1
    h1.bill[a-c]#13  Obj       1
    h1.bill[a-c]#13  h1.bill[1].constant#43  1
    h1.bill[a-c]#13  h1.income#63  1
    h1.road_flow[ac]#14  h1.road_flow[ac]#0  1
    h1.road_flow[ac]#14  h1.road[ac].time.tangent0#8  -0.0024332810047095759
    h1.road_flow[ac]#14  h1.road[ac].time.tangent1#9  -0.0024332810047095759
    h1.road_flow[ac]#14  h1.road[ac].time.tangent2#10  -0.0024332810047095759
    h1.road_flow[ac]#14  h1.road[ac].time.tangent3#11  -0.0024332810047095759
    h1.road_flow[ac]#14  h1.road[ac].time.tangent4#12  -0.0024332810047095759
    h1.road_flow[ac]#14  h1.road[ac].time.tangent5#13  -0.0024332810047095759
    h1.road_flow[ac]#14  h1.road[ac].hours.tangent0#14  -0.155
    h1.road_flow[ac]#14  h1.road[ac].hours.tangent1#15  -0.22487555743959411
    h1.road_flow[ac]#14  h1.road[ac].hours.tangent2#16  -0.31804296735905291
    h1.road_flow[ac]#14  h1.road[ac].hours.tangent3#17  -0.43450222975837643
    h1.road_flow[ac]#14  h1.road[ac].hours.tangent4#18  -0.52766963967783531
    h1.road_flow[ac]#14  h1.road[ac].hours.tangent5#19  -0.62083704959729413
    h1.road_flow[ac]#14  h1.road[ac].time.chord#20  0.0024332810047095767
    h1.road_flow[ac]#14  h1.road[ac].hours.chord#21  0.38791852479864714
    h1.time[ac]#15  h1.road[ac].time.tangent0#8  1
    h1.time[ac]#15  h1.road[ac].time.tangent1#9  1
    h1.time[ac]#15  h1.road[ac].time.tangent2#10  1
    h1.time[ac]#15  h1.road[ac].time.tangent3#11  1
    h1.time[ac]#15  h1.road[ac].time.tangent4#12  1
    h1.time[ac]#15  h1.road[ac].time.tangent5#13  1
    h1.time[ac]#15  h1.road[ac].time.chord#20  -1
    h1.road_hours[ac]#16  h1.road[ac].hours.tangent0#14  1
    h1.road_hours[ac]#16  h1.road[ac].hours.tangent1#15  1
    h1.road_hours[ac]#16  h1.road[ac].hours.tangent2#16  1
    h1.road_hours[ac]#16  h1.road[ac].hours.tangent3#17  1
    h1.road_hours[ac]#16  h1.road[ac].hours.tangent4#18  1
    h1.road_hours[ac]#16  h1.road[ac].hours.tangent5#19  1
    h1.road_hours[ac]#16  h1.road[ac].hours.chord#21  -1
    h1.road_hours[ac]#16  h1.all_hours#41  1
    h1.road_flow[cd]#17  h1.road_flow[cd]#1  1
    h1.road_flow[cd]#17  h1.road[cd].time.tangent0#22  -2.7803993392623496e-05
    h1.road_flow[cd]#17  h1.road[cd].time.tangent1#23  -0.00037029809843858977
    h1.road_flow[cd]#17  h1.road[cd].time.tangent2#24  -0.0020562843646379368
    h1.road_flow[cd]#17  h1.road[cd].time.tangent3#25  -0.0075704850202834
    h1.road_flow[cd]#17  h1.road[cd].time.tangent4#26  -0.015947431050125093
    h1.road_flow[cd]#17  h1.road[cd].time.tangent5#27  -0.028951751970929994
    h1.road_flow[cd]#17  h1.road[cd].hours.tangent0#28  -0.33805560798678524
    h1.road_flow[cd]#17  h1.road[cd].time.chord#29  0.0080294424644707582
    h1.road_flow[cd]#17  h1.road[cd].hours.chord#30  0.92489544130052936
    h1.road_flow[cd]#17  h1.road[cd].below0#31  -0.33683104150476523
    h1.road_flow[cd]#17  h1.road[cd].below1#32  -0.32969013809332964
    h1.road_flow[cd]#17  h1.road[cd].below2#33  -0.29692805873713568
    h1.road_flow[cd]#17  h1.road[cd].below3#34  -0.23288947736081766
    h1.road_flow[cd]#17  h1.road[cd].below4#35  -0.11284162403355102
    h1.road_flow[cd]#17  h1.road[cd].above0#36  -0.33601646426553872
    h1.road_flow[cd]#17  h1.road[cd].above1#37  -0.31581002927366297
    h1.road_flow[cd]#17  h1.road[cd].above2#38  -0.23735753154868822
    h1.road_flow[cd]#17  h1.road[cd].above3#39  -0.031666768541615653
    h1.road_flow[cd]#17  h1.road[cd].above4#40  0.24211788188179661
    h1.time[cd]#18  h1.road[cd].time.tangent0#22  1
    h1.time[cd]#18  h1.road[cd].time.tangent1#23  1
    h1.time[cd]#18  h1.road[cd].time.tangent2#24  1
    h1.time[cd]#18  h1.road[cd].time.tangent3#25  1
    h1.time[cd]#18  h1.road[cd].time.tangent4#26  1
    h1.time[cd]#18  h1.road[cd].time.tangent5#27  1
    h1.time[cd]#18  h1.road[cd].time.chord#29  -1
    h1.time[cd]#18  h1.road[cd].below0#31  -18.860428969246321
    h1.time[cd]#18  h1.road[cd].below1#32  -38.016327764286615
    h1.time[cd]#18  h1.road[cd].below2#33  -62.239772239663658
    h1.time[cd]#18  h1.road[cd].below3#34  -81.677063162515552
    h1.time[cd]#18  h1.road[cd].below4#35  -101.13452096583434
    h1.time[cd]#18  h1.road[cd].above0#36  -73.339958489110998
    h1.time[cd]#18  h1.road[cd].above1#37  -75.628239335381323
    h1.time[cd]#18  h1.road[cd].above2#38  -82.918972618515724
    h1.time[cd]#18  h1.road[cd].above3#39  -97.278648808973614
    h1.time[cd]#18  h1.road[cd].above4#40  -111.46288620508568
    h1.road_hours[cd]#19  h1.road[cd].hours.tangent0#28  1
    h1.road_hours[cd]#19  h1.road[cd].hours.chord#30  -1
    h1.road_hours[cd]#19  h1.road[cd].below0#31  1
    h1.road_hours[cd]#19  h1.road[cd].below1#32  1
    h1.road_hours[cd]#19  h1.road[cd].below2#33  1
    h1.road_hours[cd]#19  h1.road[cd].below3#34  1
    h1.road_hours[cd]#19  h1.road[cd].below4#35  1
    h1.road_hours[cd]#19  h1.road[cd].above0#36  1
    h1.road_hours[cd]#19  h1.road[cd].above1#37  1
    h1.road_hours[cd]#19  h1.road[cd].above2#38  1
    h1.road_hours[cd]#19  h1.road[cd].above3#39  1
    h1.road_hours[cd]#19  h1.road[cd].above4#40  1
    h1.road_hours[cd]#19  h1.all_hours#41  1
    h1.route_flow[0]#20  h1.road_flow[ac]#0  -1
    h1.route_flow[0]#20  h1.road_flow[cd]#1  -1
    h1.route_flow[0]#20  h1.load[S0]#2  -9.3499999999999979
    h1.route_flow[0]#20  h1.served[0]#4  -1
    h1.route_flow[0]#20  h1.all_hours#41  0.23374999999999996
    h1.route_flow[0]#20  h1.unused[0]#46  1
    h1.route_flow[1]#21  h1.road_flow[ac]#0  -1
    h1.route_flow[1]#21  h1.road_flow[cd]#1  -1
    h1.route_flow[1]#21  h1.load[S1]#3  -9.3499999999999979
    h1.route_flow[1]#21  h1.served[0]#4  -1
    h1.route_flow[1]#21  h1.all_hours#41  0.23374999999999996
    h1.route_flow[1]#21  h1.unused[1]#49  1
    h1.route_flow[3]#22  h1.road_flow[ac]#0  -1
    h1.route_flow[3]#22  h1.load[S1]#3  -8.2700000000000014
    h1.route_flow[3]#22  h1.served[1]#6  -1
    h1.route_flow[3]#22  h1.all_hours#41  0.20675000000000004
    h1.route_flow[3]#22  h1.unused[3]#53  1
    h1.all_hours#23  h1.all_hours#41  -1
    MARK0000  'MARKER'                 'INTORG'
    h1.chosen[0]#24  h1.indifferent[0]#45  6.7132912607856641
    h1.chosen[0]#24  h1.unused[0]#46  -73.085999999999999
    h1.chosen[0]#24  h1.some_route[0]#50  1
    h1.chosen[1]#25  h1.indifferent[1]#48  11.023641260789976
    h1.chosen[1]#25  h1.unused[1]#49  -73.085999999999999
    h1.chosen[1]#25  h1.some_route[0]#50  1
    h1.chosen[3]#26  h1.indifferent[3]#52  9.7503184578843456
    h1.chosen[3]#26  h1.unused[3]#53  -22.635999999999999
    h1.chosen[3]#26  h1.some_route[1]#54  1
    MARK0001  'MARKER'                 'INTEND'
    h1.income[S0]#27  h1.income[S0].low_low#55  1
    h1.income[S0]#27  h1.income[S0].high_high#56  1
    h1.income[S0]#27  h1.income[S0].high_low#57  1
    h1.income[S0]#27  h1.income[S0].low_high#58  1
    h1.income[S0]#27  h1.income#63  -1
    h1.income[S1]#28  h1.income[S1].low_low#59  1
    h1.income[S1]#28  h1.income[S1].high_high#60  1
    h1.income[S1]#28  h1.income[S1].high_low#61  1
    h1.income[S1]#28  h1.income[S1].low_high#62  1
    h1.income[S1]#28  h1.income#63  -1
RHS
    RHS_V     Obj       -0.00090962582882886888
    RHS_V     h1.road_flow[ac]#0  9.9999999999999995e-07
    RHS_V     h1.road_flow[cd]#1  9.9999999999999995e-07
    RHS_V     h1.load[S0]#2  5.5987797800000004e-06
    RHS_V     h1.load[S1]#3  5.5987797800000004e-06
    RHS_V     h1.served[0]#4  9.9999999999999995e-07
    RHS_V     h1.modified[0]#5  73.085999999999999
    RHS_V     h1.served[1]#6  9.9999999999999995e-07
    RHS_V     h1.modified[1]#7  22.635999999999999
    RHS_V     h1.road[ac].time.tangent0#8  0.155
    RHS_V     h1.road[ac].time.tangent1#9  0.155
    RHS_V     h1.road[ac].time.tangent2#10  0.155
    RHS_V     h1.road[ac].time.tangent3#11  0.15499999999999997
    RHS_V     h1.road[ac].time.tangent4#12  0.155
    RHS_V     h1.road[ac].time.tangent5#13  0.15500000000000008
    RHS_V     h1.road[ac].hours.tangent1#15  -0.50164710919575617
    RHS_V     h1.road[ac].hours.tangent2#16  -2.7311898167324502
    RHS_V     h1.road[ac].hours.tangent3#17  -8.0263537471320987
    RHS_V     h1.road[ac].hours.tangent4#18  -14.269073328234846
    RHS_V     h1.road[ac].hours.tangent5#19  -22.295427075366938
    RHS_V     h1.road[ac].time.chord#20  -0.1550003879185248
    RHS_V     h1.road[cd].time.tangent0#22  0.33805560798678524
    RHS_V     h1.road[cd].time.tangent1#23  0.3356959404223156
    RHS_V     h1.road[cd].time.tangent2#24  0.30266259888125147
    RHS_V     h1.road[cd].time.tangent3#25  0.10415755877889088
    RHS_V     h1.road[cd].time.tangent4#26  -0.32942550695264761
    RHS_V     h1.road[cd].time.tangent5#27  -1.1910723081341477
    RHS_V     h1.road[cd].time.chord#29  -0.33805560798678524
    RHS_V     h1.road[cd].below0#31  -6.3758737820936195
    RHS_V     h1.road[cd].below1#32  -12.851632795785486
    RHS_V     h1.road[cd].below2#33  -21.040504045445331
    RHS_V     h1.road[cd].below3#34  -27.611389245989407
    RHS_V     h1.road[cd].below4#35  -34.189091973574364
    RHS_V     h1.road[cd].above0#36  -24.792984256746006
    RHS_V     h1.road[cd].above1#37  -25.432597268649442
    RHS_V     h1.road[cd].above2#38  -26.441983983987477
    RHS_V     h1.road[cd].above3#39  -24.690067891236751
    RHS_V     h1.road[cd].above4#40  -17.799179390159896
    RHS_V     h1.all_hours#41  1.1256651784629454e-06
    RHS_V     h1.indifferent[0]#45  6.7133000030356742
    RHS_V     h1.unused[0]#46  7.3085999999999997e-08
    RHS_V     h1.indifferent[1]#48  11.023650003039986
    RHS_V     h1.unused[1]#49  7.3085999999999997e-08
    RHS_V     h1.some_route[0]#50  1
    RHS_V     h1.indifferent[3]#52  9.7503300028043576
    RHS_V     h1.unused[3]#53  2.2636000000000002e-08
    RHS_V     h1.some_route[1]#54  1
    RHS_V     h1.income[S0].high_high#56  -638.93608937379508
    RHS_V     h1.income[S0].low_high#58  -341.67705314106689
    RHS_V     h1.income[S1].high_high#60  -418.80041879999993
    RHS_V     h1.income[S1].low_high#62  -65.100065099999995
RANGES
    RANGE     h1.road_flow[ac]#0  9.9999999999999995e-07
    RANGE     h1.road_flow[cd]#1  9.9999999999999995e-07
    RANGE     h1.load[S0]#2  5.5987797800000004e-06
    RANGE     h1.load[S1]#3  5.5987797800000004e-06
    RANGE     h1.served[0]#4  9.9999999999999995e-07
    RANGE     h1.served[1]#6  9.9999999999999995e-07
    RANGE     h1.all_hours#41  2.4213565594258906e-06
    RANGE     h1.income#63  0.00090962582882886888
BOUNDS
 LO BOUND     h1.price[S0]#0  0.93498065000000008
 UP BOUND     h1.price[S0]#0  0.93500000000000005
 LO BOUND     h1.price[S1]#1  1.3959760399999999
 UP BOUND     h1.price[S1]#1  1.3959999999999999
 LO BOUND     h1.load[S0]#2  683.34725645899982
 UP BOUND     h1.load[S0]#2  683.35410628213378
 LO BOUND     h1.load[S1]#3  187.19783800280001
 UP BOUND     h1.load[S1]#3  187.20160199720002
 FX BOUND     h1.incoming[a-d]#4  0
 LO BOUND     h1.residual[a-d]#5  113.03103331334958
 UP BOUND     h1.residual[a-d]#5  113.03217414035657
 FX BOUND     h1.incoming[a-c]#6  0
 LO BOUND     h1.residual[a-c]#7  13.460772107630319
 UP BOUND     h1.residual[a-c]#7  13.460916741803093
 FX BOUND     h1.modified[a-d]#8  73.085999999999999
 LO BOUND     h1.cheapest[a-d]#9  8.7421525774999989
 UP BOUND     h1.cheapest[a-d]#9  8.7422500097422482
 LO BOUND     h1.bill[a-d]#10  148.28783947862613
 UP BOUND     h1.bill[a-d]#10  638.93608421202191
 FX BOUND     h1.modified[a-c]#11  22.635999999999999
 LO BOUND     h1.cheapest[a-c]#12  11.544794550800001
 UP BOUND     h1.cheapest[a-c]#12  11.544920012544921
 LO BOUND     h1.bill[a-c]#13  40.622339176741669
 UP BOUND     h1.bill[a-c]#13  261.33080940396684
 LO BOUND     h1.road_flow[ac]#14  95.721032779999987
 UP BOUND     h1.road_flow[ac]#14  95.722000191443996
 LO BOUND     h1.time[ac]#15  0.155
 UP BOUND     h1.time[ac]#15  0.38791852479864714
 UP BOUND     h1.road_hours[ac]#16  37.132337105040776
 LO BOUND     h1.road_flow[cd]#17  73.085259140000005
 UP BOUND     h1.road_flow[cd]#17  73.086000168807999
 LO BOUND     h1.time[cd]#18  0.33805560798678524
 UP BOUND     h1.time[cd]#18  0.92489544130052925
 UP BOUND     h1.road_hours[cd]#19  67.596908379020235
 LO BOUND     h1.route_flow[0]#20  73.085259140000005
 UP BOUND     h1.route_flow[0]#20  73.085999999999999
 UP BOUND     h1.route_flow[1]#21  1.0000000000000001e-05
 LO BOUND     h1.route_flow[3]#22  22.63576364
 UP BOUND     h1.route_flow[3]#22  22.635999999999999
 UP BOUND     h1.all_hours#23  143.57694477975255
 BV BOUND     h1.chosen[0]#24
 BV BOUND     h1.chosen[1]#25
 BV BOUND     h1.chosen[3]#26
 UP BOUND     h1.income[S0]#27  638.93608937379508
 UP BOUND     h1.income[S1]#28  418.80041879999993
ENDATA
